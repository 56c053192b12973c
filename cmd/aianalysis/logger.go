package main

import (
	"io"

	"github.com/go-logr/logr"
	uberzap "go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/kubernaut-ai/kubernaut/internal/aianalysis/settings"
)

// newLogger fills in what no --zap flag has chosen.
func newLogger(options *zap.Options, chosen *settings.Settings, out io.Writer) logr.Logger {
	if options.Level == nil {
		level := zapcore.InfoLevel
		switch {
		case options.Development || chosen.LogLevel == "debug":
			level = zapcore.DebugLevel
		case chosen.LogLevel == "error":
			level = zapcore.ErrorLevel
		}
		atomic := uberzap.NewAtomicLevelAt(level)
		options.Level = &atomic
	}
	if options.NewEncoder == nil && chosen.LogFormat == "console" {
		zap.ConsoleEncoder()(options)
	}
	if options.TimeEncoder == nil {
		options.TimeEncoder = zapcore.RFC3339NanoTimeEncoder
	}
	return zap.New(zap.UseFlagOptions(options), zap.WriteTo(out))
}
