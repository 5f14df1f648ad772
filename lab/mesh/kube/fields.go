package kube

// field returns the value at a path below a JSON object, or the zero value when there is none of its type.
func field[T any](object map[string]any, path ...string) T {
	last := len(path) - 1
	for _, name := range path[:last] {
		object = mapOf(object[name])
	}
	value, _ := object[path[last]].(T)
	return value
}

// number returns the number at a path below a JSON object, or 0.
func number(object map[string]any, path ...string) int { return int(field[float64](object, path...)) }

// items returns the elements of a type in the list at a path below a JSON object. Those of another type are left out:
// package manifest refuses them.
func items[T any](object map[string]any, path ...string) (found []T) {
	for _, item := range field[[]any](object, path...) {
		if of, ok := item.(T); ok {
			found = append(found, of)
		}
	}
	return found
}

// mapsOf returns the objects of the list at a path below a JSON object.
func mapsOf(object map[string]any, path ...string) []map[string]any {
	return items[map[string]any](object, path...)
}

// stringMap returns the map of strings at a path below a JSON object.
func stringMap(object map[string]any, path ...string) map[string]string {
	to := map[string]string{}
	for key, value := range field[map[string]any](object, path...) {
		to[key], _ = value.(string)
	}
	return to
}

func mapOf(value any) map[string]any {
	m, _ := value.(map[string]any)
	return m
}
