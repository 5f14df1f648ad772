package local

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"fleetman.example/lab/wants"
)

// A port that another program answers at is not this fleet's, though it could
// be opened.
func TestLeadsHere(t *testing.T) {
	listen := func() *net.TCPListener {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { listener.Close() })
		return listener.(*net.TCPListener)
	}
	ours, others := listen(), listen()
	early, err := net.Dial("tcp", ours.Addr().String()) // a caller before the question
	require.NoError(t, err)
	defer early.Close()
	require.NoError(t, leadsHere(ours, ours.Addr().String(), patience))
	wants.Error(t, "another's", leadsHere(ours, others.Addr().String(), 10*time.Millisecond), others.Addr().String()+" does not lead to this fleet: another program takes its connections…")
	others.Close()
	wants.Error(t, "nobody's", leadsHere(ours, others.Addr().String(), patience), "…connection refused…")
}

func TestNodePortNumbers(t *testing.T) {
	service := &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Name: "http", NodePort: 30080}, {Name: "admin", NodePort: 30090}}}}
	service.Name = "web"
	for _, test := range []struct {
		options Options
		want    [2]int
		refused string
	}{
		{Options{}, [2]int{30080, 30090}, ""},
		{Options{FreeNodePorts: true}, [2]int{0, 0}, ""},
		{Options{NodePorts: map[string]int{"web:http": 8081}}, [2]int{8081, 30090}, ""},
		{Options{NodePorts: map[string]int{"web:http": 8081}, FreeNodePorts: true}, [2]int{8081, 0}, ""},
		{Options{NodePorts: map[string]int{"wbe": 1}}, [2]int{30080, 30090}, "--node-port wbe=1: must be a Service with a NodePort: web:http, web:admin"},
	} {
		planned := newService(service, &test.options)
		assert.Equal(t, test.want, [2]int{planned.nodePorts[0].port, planned.nodePorts[1].port}, "%+v", test.options)
		assert.Equal(t, 30080, planned.nodePorts[0].declared, "declared")
		err := (&plan{services: []servicePlan{planned}}).checkNodePorts(test.options.NodePorts)
		wants.Error(t, fmt.Sprintf("%+v", test.options), err, test.refused)
	}
}
