//go:build tools

// Package tools pins the helm that the chart is tested and rendered with.
package tools

import _ "helm.sh/helm/v3/cmd/helm"
