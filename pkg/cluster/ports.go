package cluster

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Port is one mapping of the kind config.
type Port struct {
	Node int32 // NodePort inside
	Host int32 // port of 127.0.0.1 that the table wants
}

// PortMode is how host ports are chosen.
type PortMode string

// The port modes.
const (
	Auto  PortMode = "auto"  // the table's if all are free, else free ones, with a note
	Fixed PortMode = "fixed" // the table's; a taken one is an error
	Free  PortMode = "free"  // whatever is free
)

// choosePorts maps node ports to ports of 127.0.0.1. Between the choice and its
// use somebody else may take one; then the creation fails, and is tried again
// with a new choice.
func choosePorts(mode PortMode, table []Port, taken func(int32) bool) (map[int32]int32, string, error) {
	if mode == Free {
		ports, err := freePorts(table)
		return ports, "", err
	}
	holders := map[int32]string{}
	for _, port := range table {
		if taken(port.Host) {
			holders[port.Host] = holder(port.Host)
		}
	}
	busy := held(holders)
	switch {
	case mode != Fixed && mode != Auto && mode != "":
		return nil, "", fmt.Errorf("port mode %q is unknown: use auto, fixed or free", mode)
	case busy == "":
		return fixed(table), "", nil
	case mode == Fixed:
		return nil, "", fmt.Errorf("%w: %s: end it or use free ports", ErrPort, busy)
	}
	ports, err := freePorts(table)
	return ports, fmt.Sprintf("free host ports are used: %s", busy), err
}

// held is a sentence about who holds which ports; empty for none.
func held(holders map[int32]string) string {
	by := map[string][]string{}
	for _, port := range slices.Sorted(maps.Keys(holders)) {
		by[holders[port]] = append(by[holders[port]], strconv.Itoa(int(port)))
	}
	var parts []string
	for _, who := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, strings.Join(by[who], ", ")+" held by "+who)
	}
	return strings.Join(parts, "; ")
}

func fixed(table []Port) map[int32]int32 {
	ports := make(map[int32]int32, len(table))
	for _, port := range table {
		ports[port.Node] = port.Host
	}
	return ports
}

// freePorts holds all of them until the last is found, so that they differ.
func freePorts(table []Port) (map[int32]int32, error) {
	ports := make(map[int32]int32, len(table))
	for _, port := range table {
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp4", "127.0.0.1:0") // local, at once
		if err != nil {
			return nil, fmt.Errorf("looking for a free port: %w", err)
		}
		defer l.Close()
		ports[port.Node] = int32(l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// listens tells whether 127.0.0.1:port is taken.
func listens(port int32) bool {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port)))) // local, at once
	if err != nil {
		return true
	}
	_ = l.Close() // nothing was accepted
	return false
}
