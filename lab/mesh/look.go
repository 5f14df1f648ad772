package mesh

// HostsFile is where the names of a pod lead, and whether the pod has a proxy;
// a pod without one goes by the fleet's.
func (m *Mesh) HostsFile(podID string) (path string, proxied bool) {
	for i := range m.site.Pods {
		if pod := &m.site.Pods[i]; pod.ID == podID && pod.Proxied {
			return pod.HostsFile, true
		}
	}
	return m.fleet.HostsFile(), false
}

// ProxyLogs are the log files of all proxies, by the pod's ID or the gateway's
// name.
func (m *Mesh) ProxyLogs() map[string]string {
	logs := map[string]string{}
	for _, p := range m.proxies {
		logs[p.name] = p.log.Name()
	}
	return logs
}
