package datastorage

// Wildcard in a label stands for any value.
const Wildcard = "*"

// Labels are the five that every workflow has.
type Labels struct {
	SignalType  string `json:"signal_type"`
	Severity    string `json:"severity"`
	Component   string `json:"component"`
	Environment string `json:"environment"`
	Priority    string `json:"priority"`
}

// CustomLabels are the operator's own: a subdomain and its values.
type CustomLabels map[string][]string

// DetectedLabels are what was found about a workload, or what a workflow is made for. False is the same as absent.
type DetectedLabels struct {
	GitOpsManaged    bool     `json:"gitOpsManaged,omitempty"`
	GitOpsTool       string   `json:"gitOpsTool,omitempty"`
	PDBProtected     bool     `json:"pdbProtected,omitempty"`
	HPAEnabled       bool     `json:"hpaEnabled,omitempty"`
	Stateful         bool     `json:"stateful,omitempty"`
	HelmManaged      bool     `json:"helmManaged,omitempty"`
	NetworkIsolated  bool     `json:"networkIsolated,omitempty"`
	ServiceMesh      string   `json:"serviceMesh,omitempty"`
	FailedDetections []string `json:"failed_detections,omitempty"`
}

// IsZero tells that no label is set.
func (d DetectedLabels) IsZero() bool {
	return len(d.values()) == 0 && len(d.FailedDetections) == 0
}

// values are the labels that are set; a set boolean has the value true.
func (d DetectedLabels) values() map[string]string {
	values := map[string]string{}
	for name, set := range map[string]bool{
		"gitOpsManaged": d.GitOpsManaged, "pdbProtected": d.PDBProtected, "hpaEnabled": d.HPAEnabled,
		"stateful": d.Stateful, "helmManaged": d.HelmManaged, "networkIsolated": d.NetworkIsolated,
	} {
		if set {
			values[name] = "true"
		}
	}
	for name, value := range map[string]string{"gitOpsTool": d.GitOpsTool, "serviceMesh": d.ServiceMesh} {
		if value != "" {
			values[name] = value
		}
	}
	return values
}
