// Command kstatus prints how tools judge Kubernetes resources, for tests/contract/test_gitops.py. It reads resources as
// JSON from standard input and prints a line for each: its status, a tab, and the message.
//
//	kstatus              as kstatus says, and so Helm 4 and Flux
//	kstatus EXPRESSIONS  as Flux says with this entry of spec.healthCheckExprs, as JSON
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

type judgement func(*unstructured.Unstructured) (*status.Result, error)

func main() {
	judge := judgement(status.Compute)
	if len(os.Args) > 1 {
		judge = withExpressions(os.Args[1])
	}
	for resources := json.NewDecoder(os.Stdin); ; {
		var text json.RawMessage
		if err := resources.Decode(&text); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			exit(err)
		}
		var resource unstructured.Unstructured
		if err := resource.UnmarshalJSON(text); err != nil {
			exit(err)
		}
		fmt.Println(line(judge(&resource)))
	}
}

// Tools that wait take an error for the status Unknown, and go on waiting.
func line(result *status.Result, err error) string {
	if err != nil {
		result = &status.Result{Status: status.UnknownStatus, Message: err.Error()}
	}
	return fmt.Sprintf("%s\t%s", result.Status, strings.Join(strings.Fields(result.Message), " "))
}

// The rules are those of Flux, in its order; its own package would bring a Kubernetes client with it.
// Source: runtime/cel/status_evaluator.go of github.com/fluxcd/pkg.
func withExpressions(text string) judgement {
	var expressions struct{ InProgress, Failed, Current string }
	if err := json.Unmarshal([]byte(text), &expressions); err != nil {
		exit(err)
	}
	order := []struct {
		program cel.Program
		status  status.Status
	}{
		{program(expressions.InProgress), status.InProgressStatus},
		{program(expressions.Failed), status.FailedStatus},
		{program(expressions.Current), status.CurrentStatus},
	}
	return func(resource *unstructured.Unstructured) (*status.Result, error) {
		observed, found, err := unstructured.NestedInt64(resource.Object, "status", "observedGeneration")
		if err != nil || found && observed != resource.GetGeneration() {
			return &status.Result{Status: status.InProgressStatus}, err
		}
		for _, each := range order {
			said, _, err := each.program.Eval(resource.Object)
			if err != nil {
				return nil, err
			}
			if said.Value() == true {
				return &status.Result{Status: each.status}, nil
			}
		}
		return &status.Result{Status: status.InProgressStatus}, nil
	}
}

// It is parsed and not checked, because Flux does not know the types of a resource either.
func program(expression string) cel.Program {
	environment, err := cel.NewEnv(cel.CrossTypeNumericComparisons(true), cel.OptionalTypes(), ext.Strings())
	if err != nil {
		exit(err)
	}
	parsed, issues := environment.Parse(expression)
	if issues.Err() != nil {
		exit(issues.Err())
	}
	made, err := environment.Program(parsed)
	if err != nil {
		exit(err)
	}
	return made
}

func exit(err error) {
	fmt.Fprintln(os.Stderr, "kstatus:", err)
	os.Exit(1)
}
