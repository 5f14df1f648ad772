package mesh

// HostsFile returns the path of the hosts file by which a pod resolves names: its own when it has a
// proxy, else the fleet's.
func (m *Mesh) HostsFile(podID string) (path string, proxied bool) {
	for _, pod := range m.site.Pods() {
		if pod.ID == podID && pod.Proxied {
			return pod.HostsFile, true
		}
	}
	return m.fleet.HostsFile(), false
}

// ProxyLogs returns the paths of the proxies' logs, keyed by the pod's ID or the gateway's name.
func (m *Mesh) ProxyLogs() map[string]string {
	logs := map[string]string{}
	for _, p := range m.allProxies() {
		logs[p.name] = p.log.Name()
	}
	return logs
}
