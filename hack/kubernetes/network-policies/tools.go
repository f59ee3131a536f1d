//go:build tools

// Package tools pins what enforces network policies in tests/e2e.
package tools

import _ "sigs.k8s.io/kube-network-policies/cmd"
