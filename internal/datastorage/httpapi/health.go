package httpapi

import (
	"context"

	api "github.com/kubernaut-ai/kubernaut/api/openapi/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// HealthCheck tells whether everything works. Redis away is told, but is no failure.
func (h *handler) HealthCheck(context.Context) (api.HealthCheckRes, error) {
	switch h.Health.Database() {
	case datastorage.Connected:
	case datastorage.SchemaOutdated:
		return &api.Unhealthy{Status: api.UnhealthyStatusUnhealthy, Database: api.UnhealthyDatabaseSchemaOutdated,
			Error: "database schema outdated"}, nil
	default:
		return &api.Unhealthy{Status: api.UnhealthyStatusUnhealthy, Database: api.UnhealthyDatabaseUnreachable,
			Error: "database unreachable"}, nil
	}
	queue := api.HealthyDlqUnreachable
	switch h.Health.Queue() {
	case datastorage.Connected:
		queue = api.HealthyDlqConnected
	case datastorage.Off:
		queue = api.HealthyDlqOff
	}
	return &api.Healthy{Status: api.HealthyStatusHealthy, Database: api.HealthyDatabaseConnected, Dlq: queue}, nil
}

// ReadinessCheck tells whether an audit event can be kept durably.
func (h *handler) ReadinessCheck(context.Context) (api.ReadinessCheckRes, error) {
	if reason := h.Health.NotReady(); reason != "" {
		return &api.NotReady{Status: api.NotReadyStatusNotReady, Reason: api.NotReadyReason(reason)}, nil
	}
	mode := api.ReadyModeNormal
	if h.Health.Degraded() {
		mode = api.ReadyModeDegraded
	}
	return &api.Ready{Status: api.ReadyStatusReady, Mode: mode}, nil
}

// LivenessCheck answers while the process can.
func (h *handler) LivenessCheck(context.Context) (*api.Alive, error) {
	return &api.Alive{Status: api.AliveStatusAlive}, nil
}
