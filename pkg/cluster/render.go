package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	"sigs.k8s.io/yaml"
)

// render is the kind config of cfg with what its limits ask for, and its port
// mappings. It still has the host ports of the YAML.
func render(cfg Config) (*v1alpha4.Cluster, []Port, error) {
	var config v1alpha4.Cluster
	if err := yaml.UnmarshalStrict(cfg.Kind, &config); err != nil {
		return nil, nil, fmt.Errorf("reading the kind config: %w", err)
	}
	if config.Kind != "Cluster" || config.APIVersion != "kind.x-k8s.io/v1alpha4" {
		return nil, nil, fmt.Errorf("reading the kind config: %s %s is not kind.x-k8s.io/v1alpha4 Cluster", config.APIVersion, config.Kind)
	}
	config.Name = cfg.Name
	if len(config.Nodes) == 0 {
		config.Nodes = []v1alpha4.Node{{Role: v1alpha4.ControlPlaneRole}}
	}
	var table []Port
	for i := range config.Nodes {
		config.Nodes[i].Image = cfg.NodeImage
		for _, m := range config.Nodes[i].ExtraPortMappings {
			if m.ListenAddress != "127.0.0.1" {
				return nil, nil, fmt.Errorf("the kind config maps port %d on %q: only 127.0.0.1 is allowed", m.ContainerPort, m.ListenAddress)
			}
			table = append(table, Port{Node: m.ContainerPort, Host: m.HostPort})
		}
	}
	limits := cfg.Limits
	config.Networking.DisableDefaultCNI = config.Networking.DisableDefaultCNI || limits.StaticCNI
	if limits.CgroupV1 {
		config.KubeadmConfigPatches = append(config.KubeadmConfigPatches, "kind: KubeletConfiguration\nfailCgroupV1: false\n")
	}
	if limits.KeepOOMScore {
		config.KubeadmConfigPatches = append(config.KubeadmConfigPatches, "kind: KubeletConfiguration\noomScoreAdj: 0\n")
	}
	return &config, table, nil
}

// hash is of everything that is in the config but the host ports, which may
// differ from run to run, and the node image, which is compared by its id.
func hash(config *v1alpha4.Cluster) string {
	plain := config.DeepCopy()
	for i := range plain.Nodes {
		plain.Nodes[i].Image = ""
		for j := range plain.Nodes[i].ExtraPortMappings {
			plain.Nodes[i].ExtraPortMappings[j].HostPort = 0
		}
	}
	data, err := json.Marshal(plain)
	if err != nil { // strings, numbers and maps of strings only
		panic(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// withPorts is a copy with the host ports that were chosen.
func withPorts(config *v1alpha4.Cluster, ports map[int32]int32) *v1alpha4.Cluster {
	chosen := config.DeepCopy()
	for i := range chosen.Nodes {
		for j := range chosen.Nodes[i].ExtraPortMappings {
			m := &chosen.Nodes[i].ExtraPortMappings[j]
			m.HostPort = ports[m.ContainerPort]
		}
	}
	return chosen
}
