package main

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"text/tabwriter"

	"fleetman.example/lab/control"
	"fleetman.example/lab/local"
)

// printStatus is the table of pods and, below it, what a browser can open.
func printStatus(w io.Writer, status control.Status) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "POD\tADDRESS\tREADY\tRESTARTS\tIMAGE\tVARIANT")
	for _, pod := range status.Pods {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\n", pod.Name, address(pod), readiness(pod), pod.Restarts, pod.Image, orDash(pod.Variant))
	}
	table.Flush()
	for _, pod := range status.Pods {
		if why := explain(pod); why != "" {
			fmt.Fprintf(w, "%s is not ready: %s\n", pod.Name, why)
		}
		if pod.Faults != "" {
			fmt.Fprintf(w, "%s has faults: %s\n", pod.Name, pod.Faults)
		}
	}
	for _, port := range status.NodePorts {
		fmt.Fprintf(w, "%s: http://%s\n", port.Service, port.Address)
	}
}

// address is where a pod listens, and the port of its manifest when that is
// another: one that needs root, or that no Service leads to.
func address(pod local.Pod) string {
	if pod.Port == 0 {
		return pod.Address
	}
	text := net.JoinHostPort(pod.Address, strconv.Itoa(pod.Port))
	if pod.DeclaredPort != pod.Port {
		text += fmt.Sprintf(" (for %d)", pod.DeclaredPort)
	}
	return text
}

func readiness(pod local.Pod) string {
	switch {
	case pod.Ready:
		return "yes"
	case pod.State != "running":
		return "no, " + pod.State
	}
	return "no"
}

// explain says in words why a pod is not ready, and when it is started again.
func explain(pod local.Pod) string {
	if pod.Ready || pod.NextTry.IsZero() {
		return pod.Why
	}
	return fmt.Sprintf("%s; next try at %s", pod.Why, pod.NextTry.Format("15:04:05.000"))
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
