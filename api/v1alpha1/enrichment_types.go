package v1alpha1

// EnrichmentResults is what earlier steps found out about the target. All of it is optional.
type EnrichmentResults struct {
	// +optional
	KubernetesContext *KubernetesContext `json:"kubernetesContext,omitempty"`
	// +optional
	DetectedLabels *DetectedLabels `json:"detectedLabels,omitempty"`
	// Owners of the target, nearest first. Absent: not known. Empty: known to have none.
	// +optional
	OwnerChain []OwnerChainEntry `json:"ownerChain,omitzero"`
	// +optional
	CustomLabels map[string][]string `json:"customLabels,omitempty"`
}

// OwnerChainEntry is one owner.
type OwnerChainEntry struct {
	// +required
	Kind string `json:"kind"`
	// +required
	Name string `json:"name"`
	// Empty for cluster-scoped owners.
	// +optional
	Namespace string `json:"namespace,omitempty"`
}

// DetectedLabels says how the target is run, as far as it could be detected.
type DetectedLabels struct {
	// Fields whose detection failed; their values below mean nothing.
	// +optional
	// +kubebuilder:validation:items:Enum=gitOpsManaged;pdbProtected;hpaEnabled;stateful;helmManaged;networkIsolated;serviceMesh
	FailedDetections []string `json:"failedDetections,omitempty"`
	// +required
	GitOpsManaged bool `json:"gitOpsManaged"`
	// +optional
	// +kubebuilder:validation:Enum=argocd;flux;""
	GitOpsTool string `json:"gitOpsTool,omitempty"`
	// +required
	PDBProtected bool `json:"pdbProtected"`
	// +required
	HPAEnabled bool `json:"hpaEnabled"`
	// +required
	Stateful bool `json:"stateful"`
	// +required
	HelmManaged bool `json:"helmManaged"`
	// +required
	NetworkIsolated bool `json:"networkIsolated"`
	// +optional
	// +kubebuilder:validation:Enum=istio;linkerd;""
	ServiceMesh string `json:"serviceMesh,omitempty"`
}

// KubernetesContext describes the surroundings of the target.
type KubernetesContext struct {
	// +required
	Namespace string `json:"namespace"`
	// +optional
	NamespaceLabels map[string]string `json:"namespaceLabels,omitempty"`
	// +optional
	NamespaceAnnotations map[string]string `json:"namespaceAnnotations,omitempty"`
	// +optional
	PodDetails *PodDetails `json:"podDetails,omitempty"`
	// +optional
	DeploymentDetails *DeploymentDetails `json:"deploymentDetails,omitempty"`
	// +optional
	NodeDetails *NodeDetails `json:"nodeDetails,omitempty"`
	// +optional
	RelatedServices []ServiceSummary `json:"relatedServices,omitempty"`
	// +optional
	RelatedIngresses []IngressSummary `json:"relatedIngresses,omitempty"`
	// +optional
	RelatedConfigMaps []ConfigMapSummary `json:"relatedConfigMaps,omitempty"`
}

// PodDetails describes a pod.
type PodDetails struct {
	// +required
	Name string `json:"name"`
	// +required
	Phase string `json:"phase"`
	// +required
	RestartCount int32 `json:"restartCount"`
	// A plain string, by convention RFC 3339.
	// +required
	CreationTimestamp string `json:"creationTimestamp"`
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
	// +optional
	Containers []ContainerStatus `json:"containers,omitempty"`
}

// ContainerStatus describes one container of a pod.
type ContainerStatus struct {
	// +required
	Name string `json:"name"`
	// +required
	Image string `json:"image"`
	// +required
	Ready bool `json:"ready"`
	// +required
	RestartCount int32 `json:"restartCount"`
	// +required
	State string `json:"state"`
}

// DeploymentDetails describes a Deployment.
type DeploymentDetails struct {
	// +required
	Name string `json:"name"`
	// +required
	Replicas int32 `json:"replicas"`
	// +required
	ReadyReplicas int32 `json:"readyReplicas"`
	// +required
	AvailableReplicas int32 `json:"availableReplicas"`
	// +required
	Strategy string `json:"strategy"`
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
}

// NodeDetails describes a node.
type NodeDetails struct {
	// +required
	Name string `json:"name"`
	// +required
	Capacity ResourceList `json:"capacity"`
	// +required
	Allocatable ResourceList `json:"allocatable"`
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// +optional
	Conditions []NodeCondition `json:"conditions,omitempty"`
}

// ResourceList is an amount of CPU and memory, as Kubernetes quantities.
type ResourceList struct {
	// +required
	CPU string `json:"cpu"`
	// +required
	Memory string `json:"memory"`
}

// NodeCondition is one condition of a node.
type NodeCondition struct {
	// +required
	Type string `json:"type"`
	// +required
	Status string `json:"status"`
}

// ServiceSummary describes a Service that selects the target.
type ServiceSummary struct {
	// +required
	Name string `json:"name"`
	// +required
	Type string `json:"type"`
	// +required
	ClusterIP string `json:"clusterIP"`
	// +optional
	Ports []ServicePort `json:"ports,omitempty"`
}

// ServicePort is one port of a Service.
type ServicePort struct {
	// +required
	Name string `json:"name"`
	// +required
	Port int32 `json:"port"`
	// +required
	TargetPort string `json:"targetPort"`
	// +required
	Protocol string `json:"protocol"`
}

// IngressSummary describes an Ingress that leads to the target.
type IngressSummary struct {
	// +required
	Name string `json:"name"`
	// +required
	Hosts []string `json:"hosts"`
	// +optional
	Rules []IngressRule `json:"rules,omitempty"`
}

// IngressRule is one rule of an Ingress.
type IngressRule struct {
	// +required
	Host string `json:"host"`
	// +required
	Path string `json:"path"`
}

// ConfigMapSummary names a ConfigMap and its keys; never its values.
type ConfigMapSummary struct {
	// +required
	Name string `json:"name"`
	// +required
	Keys []string `json:"keys"`
}
