package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion names the API group and version of every type in this package.
var GroupVersion = schema.GroupVersion{Group: "kubernaut.ai", Version: "v1alpha1"}

// AddToScheme teaches a scheme the types of this package.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &AIAnalysis{}, &AIAnalysisList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
