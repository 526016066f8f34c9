package main

import (
	"encoding/json"
	"fmt"
	"sort"
)

// mutate is the JSON patch that adds an annotation to every object and, to what has a Pod template, a toleration and
// an environment variable; lists of named things end up in reverse order of their names.
func mutate(raw []byte) ([]byte, error) {
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, err
	}
	metadata := child(object, "metadata")
	child(metadata, "annotations")["webhook.example/mutated"] = "yes"
	patch := []map[string]any{{"op": "replace", "path": "/metadata", "value": metadata}}
	if spec, ok := object["spec"].(map[string]any); ok {
		reverse(spec["ports"])
		if template, ok := spec["template"].(map[string]any); ok {
			mutatePod(child(template, "spec"))
		}
		patch = append(patch, map[string]any{"op": "replace", "path": "/spec", "value": spec})
	}
	return json.Marshal(patch)
}

func mutatePod(spec map[string]any) {
	spec["tolerations"] = []any{map[string]any{"key": "webhook.example/pool", "operator": "Exists"}}
	containers, _ := spec["containers"].([]any)
	for _, item := range containers {
		container, ok := item.(map[string]any)
		if !ok {
			continue
		}
		variables, _ := container["env"].([]any)
		if !has(variables, "WEBHOOK") {
			container["env"] = append(variables, map[string]any{"name": "WEBHOOK", "value": "here"})
		}
		reverse(container["env"])
		reverse(container["ports"])
	}
}

// child is the map under a key, made when it isn't there.
func child(parent map[string]any, key string) map[string]any {
	if found, ok := parent[key].(map[string]any); ok {
		return found
	}
	made := map[string]any{}
	parent[key] = made
	return made
}

func has(list []any, name string) bool {
	for _, item := range list {
		if nameOf(item) == name {
			return true
		}
	}
	return false
}

func reverse(list any) {
	if items, ok := list.([]any); ok {
		sort.SliceStable(items, func(a, b int) bool { return nameOf(items[a]) > nameOf(items[b]) })
	}
}

func nameOf(item any) string {
	if named, ok := item.(map[string]any); ok {
		return fmt.Sprint(named["name"])
	}
	return ""
}
