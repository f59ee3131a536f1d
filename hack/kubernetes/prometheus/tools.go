//go:build tools

// Package tools pins what scrapes and judges in tests/monitoring.
package tools

import (
	_ "github.com/prometheus/prometheus/cmd/prometheus"
	_ "github.com/prometheus/prometheus/cmd/promtool"
)
