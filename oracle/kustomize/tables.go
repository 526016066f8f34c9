package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

const note = "# Made by oracle/kustomize/regenerate from the OpenAPI document of Kubernetes that Kustomize 5.5 embeds.\n"

// tables writes what the OpenAPI document says of lists that are merged, and the kinds without a namespace.
func tables(folder string) {
	graph := &graph{lines: map[string]string{}}
	var kinds, cluster []string
	for _, meta := range kindsOf() {
		name := meta.APIVersion + " " + meta.Kind
		if schema := openapi.SchemaForResourceType(meta); schema != nil {
			if target := graph.add(definitionOf(meta), schema); target != "" {
				kinds = append(kinds, name+" = "+target+"\n")
			}
		}
		if openapi.IsCertainlyClusterScoped(meta) {
			cluster = append(cluster, name+"\n")
		}
	}
	write(filepath.Join(folder, "cluster-scoped.txt"), note, cluster)
	var types []string
	for name, line := range graph.lines {
		if line != "" {
			types = append(types, name+":"+line+"\n")
		}
	}
	help := "# APIVERSION KIND = TYPE, then TYPE: FIELD[KEY…]=TYPE …; [] without keys is a merged list of plain values.\n"
	sort.Strings(types)
	write(filepath.Join(folder, "merge-keys.txt"), note+help, append(kinds, types...))
}

// graph holds the fields of each type that lead to a merged list.
type graph struct{ lines map[string]string }

// add enters a type and those below it; it returns the name, or nothing when no merged list is below it.
func (g *graph) add(name string, schema *openapi.ResourceSchema) string {
	if name == "" {
		return ""
	}
	if _, found := g.lines[name]; !found {
		// A type inside itself leads nowhere new.
		g.lines[name] = ""
		g.lines[name] = g.fields(schema)
	}
	if g.lines[name] == "" {
		return ""
	}
	return name
}

func (g *graph) fields(schema *openapi.ResourceSchema) string {
	var names []string
	for name := range schema.Schema.Properties {
		names = append(names, name)
	}
	sort.Strings(names)
	var line strings.Builder
	for _, name := range names {
		property := schema.Schema.Properties[name]
		line.WriteString(g.field(name, schema.Field(name), property.Ref.String()))
	}
	return line.String()
}

func (g *graph) field(name string, schema *openapi.ResourceSchema, reference string) string {
	if schema == nil {
		return ""
	}
	strategy, keys := schema.PatchStrategyAndKeyList()
	if !contains(strings.Split(strategy, ","), "merge") {
		if target := g.add(short(reference), schema); target != "" {
			return " " + name + "=" + target
		}
		return ""
	}
	text := " " + name + "[" + strings.Join(keys, " ") + "]"
	if elements := schema.Elements(); elements != nil {
		if target := g.add(short(schema.Schema.Items.Schema.Ref.String()), elements); target != "" {
			text += "=" + target
		}
	}
	return text
}

// kindsOf lists every kind of the document.
func kindsOf() []yaml.TypeMeta {
	var kinds []yaml.TypeMeta
	for _, definition := range openapi.Schema().Definitions {
		for _, meta := range metasOf(definition.Extensions["x-kubernetes-group-version-kind"]) {
			kinds = append(kinds, meta)
		}
	}
	sort.Slice(kinds, func(i, j int) bool {
		return kinds[i].APIVersion+" "+kinds[i].Kind < kinds[j].APIVersion+" "+kinds[j].Kind
	})
	return kinds
}

func metasOf(extension any) []yaml.TypeMeta {
	var metas []yaml.TypeMeta
	list, _ := extension.([]any)
	for _, item := range list {
		part := map[string]string{}
		switch item := item.(type) {
		case map[string]any:
			for key, value := range item {
				part[key] = fmt.Sprint(value)
			}
		case map[any]any:
			for key, value := range item {
				part[fmt.Sprint(key)] = fmt.Sprint(value)
			}
		}
		version := part["version"]
		if part["group"] != "" {
			version = part["group"] + "/" + version
		}
		metas = append(metas, yaml.TypeMeta{APIVersion: version, Kind: part["kind"]})
	}
	return metas
}

// definitionOf is the short name of the definition of a kind.
func definitionOf(meta yaml.TypeMeta) string {
	var names []string
	for name, definition := range openapi.Schema().Definitions {
		for _, other := range metasOf(definition.Extensions["x-kubernetes-group-version-kind"]) {
			if other == meta {
				names = append(names, name)
			}
		}
	}
	sort.Strings(names)
	if len(names) == 0 {
		return ""
	}
	return short(names[0])
}

// short is a definition's name without what all have in common.
func short(name string) string {
	name = strings.TrimPrefix(name, "#/definitions/")
	return strings.TrimPrefix(name, "io.k8s.api.")
}

func contains(list []string, wanted string) bool {
	for _, item := range list {
		if item == wanted {
			return true
		}
	}
	return false
}

func write(path, head string, lines []string) {
	var unique []string
	for _, line := range lines {
		if len(unique) == 0 || unique[len(unique)-1] != line {
			unique = append(unique, line)
		}
	}
	check(os.WriteFile(path, []byte(head+strings.Join(unique, "")), 0o644))
}
