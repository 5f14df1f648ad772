package record

import "slices"

// entries returns the services that a load's requests reach first: behind a gateway of
// the mesh, those to which it sent requests.
func entries(samples []Sample, entry string) (services []string) {
	for _, s := range samples {
		for _, n := range s.Counts {
			if s.Pod == entry+ProxySuffix && n.Name == CountProxyAttempts && n.N > 0 && !slices.Contains(services, n.Of) {
				services = append(services, n.Of)
			}
		}
	}
	if len(services) == 0 {
		return []string{entry}
	}
	return services
}

// reached returns the services to which requests of the load lead, or, with unknown,
// may lead, with the methods that they have there. methods are the load's own.
func (r *Run) reached(c Counters, methods []string, unknown bool) map[string][]string {
	found := map[string][]string{}
	services := entries(r.Samples, r.Entry)
	for _, entry := range services {
		found[entry] = methods
	}
	for i := 0; i < len(services); i++ {
		for _, h := range r.Hops {
			if h.Caller != services[i] || !h.follows(found[h.Caller]) && !(unknown && c.IsUnknown(h)) {
				continue
			}
			known := found[h.Upstream]
			if more := addNew(slices.Clone(known), h.Methods...); len(more) > len(known) {
				found[h.Upstream], services = more, append(services, h.Upstream)
			}
		}
	}
	return found
}

// follows reports whether calls of the hop follow from requests that its caller
// receives by one of some methods.
func (h Hop) follows(methods []string) bool {
	return slices.ContainsFunc(h.Per, func(route string) bool { return slices.Contains(methods, Count{Of: route}.method()) })
}

func addNew(list []string, more ...string) []string {
	for _, one := range more {
		if !slices.Contains(list, one) {
			list = append(list, one)
		}
	}
	return list
}

// Services are those of the pods that had the fault.
func (r *Run) Services() (services []string) {
	for _, pod := range r.Pods {
		services = addNew(services, ServiceOf(pod))
	}
	return services
}

// LeadsTo reports whether requests of the load may lead to a service, and whether this
// is known. methods are the load's.
func (r *Run) LeadsTo(c Counters, service string, methods []string) (may, known bool) {
	switch {
	case r.Entry == "":
		return true, false
	case len(r.reached(c, methods, false)[service]) > 0:
		return true, true
	}
	may = len(r.reached(c, methods, true)[service]) > 0
	return may, !may
}

// LoadShare returns the share of the load, and of the calls that follow from it, in the
// requests of a method that a service received from one offset to another: 0 if none of
// them leads there, 1 if there are no others, or that is unknown. methods are the load's; the
// run's requests must be ordered, as for Between.
func (r *Run) LoadShare(c Counters, methods []string, service, method string, from, until Offset) float64 {
	if may, known := r.LeadsTo(c, service, methods); may && !known && slices.Contains(methods, method) {
		return 1
	}
	reached := r.reached(c, methods, false)
	if !slices.Contains(reached[service], method) {
		return 0
	}
	own, others := 0.0, 0.0
	if slices.Contains(methods, method) && slices.Contains(entries(r.Samples, r.Entry), service) {
		own = float64(len(Between(r.Requests, from, until)))
	}
	for _, h := range r.Hops {
		if h.Upstream != service {
			continue
		}
		calls := c.grown(h.Caller, func(n Count) bool { return n.Name == CountClient && n.Of == method+" "+service }, from, until)
		if h.follows(reached[h.Caller]) {
			own += calls
		} else {
			others += calls
		}
	}
	if others == 0 {
		return 1
	}
	return own / (own + others)
}

// Between returns the requests, ordered by intended start, that were due from one offset until before another.
func Between(requests []Request, from, until Offset) []Request {
	first := func(at Offset) int {
		i, _ := slices.BinarySearchFunc(requests, at, func(r Request, at Offset) int { return int(r.Intended - at) })
		return i
	}
	return requests[first(from):max(first(from), first(until))]
}

// loadHops returns the hops on the load's path, nearest first: its own, if a
// service sends it, and those from its entry on.
func (r *Run) loadHops() []Hop {
	path := slices.DeleteFunc(slices.Clone(r.Hops), func(h Hop) bool { return !h.Load })
	reached := entries(r.Samples, r.Entry)
	for i := 0; i < len(reached); i++ {
		for _, h := range r.Hops {
			if h.Caller != reached[i] || h.Load {
				continue
			}
			path, reached = append(path, h), addNew(reached, h.Upstream)
		}
	}
	return path
}

// Watched returns the hop whose attempts show the fault: the load's nearest to a
// service that had it, else the first from the entry. If the entry is unknown, it is one
// of all.
func (r *Run) Watched() (Hop, bool) {
	path := r.loadHops()
	if r.Entry == "" {
		path = r.Hops
	}
	if len(path) == 0 {
		return Hop{}, false
	}
	faulty := r.Services()
	nearest := slices.IndexFunc(path, func(h Hop) bool { return slices.Contains(faulty, h.Upstream) })
	return path[max(nearest, 0)], true
}
