package monitoring

// Board is one dashboard.
type Board struct {
	File, Title, About string
	Rows               []Row
}

// Row is a titled group of panels.
type Row struct {
	Title  string
	Panels []Panel
}

// Boards returns all dashboards.
func Boards() []Board {
	entry := Row{"The entry", []Panel{outcomes, entryLatency, injected}}
	library := Row{"Library", []Panel{libraryAttempts, libraryLatency, fallbacks}}
	proxies := Row{"Mesh", []Panel{meshAttempts, meshLatency, meshAnswers}}
	together := Row{"Library and mesh", []Panel{multiplied, retries, denied, open, openings, refused, timeouts, inFlight}}
	return []Board{
		{"fleet", "Fleet", "The services, whatever handles their failures.", []Row{
			entry,
			{"Services", []Panel{rates, failures, latency}},
			{"Vehicles and resources", []Panel{reports, cpu, memory, targets}},
		}},
		{"resilience", "Resilience: library and mesh", "What the library and the mesh do about failures, on one board. A line exists for the one that acts.", []Row{entry, together, library, proxies}},
		arm("none", "nothing handles failures", entry, Row{"Hops", []Panel{libraryAttempts, libraryLatency, failures}}),
		arm("library", "the chain inside the services", entry, only(together, "library"), library),
		arm("sidecars", "proxies without a policy", entry, proxies, Row{"Cost", []Panel{memory, latency}}),
		arm("mesh", "the policies in the proxies", entry, only(together, "mesh"), proxies),
		arm("both", "endpoints and retries in the mesh, the rest in the library", entry, together, library, proxies),
		arm("mesh-tuned", "the mesh with what needs an EnvoyFilter", entry, only(together, "mesh"), proxies, Row{"Cost", []Panel{failures, received}}),
		arm("twice", "all policies in the library and in the mesh", entry, Row{"Multiplied", []Panel{received, multiplied, retries, denied}}, library, proxies),
	}
}

func arm(name, about string, rows ...Row) Board {
	return Board{"arm-" + name, "Arm " + name, "k8s/scenarios/resilience/" + name + ": " + about + ".", rows}
}
