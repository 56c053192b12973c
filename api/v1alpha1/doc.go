// Package v1alpha1 holds the AIAnalysis resource: one incident, analysed once by HolmesGPT-API and judged once by the approval policy.
//
// The JSON names and enums of this package are a public contract. The CRD in config/crd and the deepcopy code are generated from
// the markers here; change them here and run `go generate ./api/...`.
//
// +kubebuilder:object:generate=true
// +groupName=kubernaut.ai
package v1alpha1

//go:generate go run sigs.k8s.io/controller-tools/cmd/controller-gen object crd:allowDangerousTypes=true paths=. output:crd:dir=../../config/crd
