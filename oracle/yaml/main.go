// Command yaml writes what sigs.k8s.io/yaml, kubectl's reader, makes of the cases in a folder:
//
//	scalars.txt     one plain scalar a line  → scalars.json    {"TEXT": {"value": …} or {"error": "…"}}
//	keys.txt        one plain key a line     → keys.json       {"TEXT": {"value": {KEY: 1}} or {"error": "…"}}
//	documents/X.yaml  one document           → documents/X.json  {"value": …} or {"error": "…"}
//
// Called with `serve`, it answers requests line by line; see serve.go.
package main

import (
	"bytes"
	"encoding/json"
	"log"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

type answer struct {
	Value json.RawMessage `json:"value,omitempty"`
	Error string          `json:"error,omitempty"`
}

func main() {
	if os.Args[1] == "serve" {
		serve()
		return
	}
	folder := os.Args[1]
	lines(folder, "scalars", func(text string) answer { return read("v: " + text + "\n") })
	lines(folder, "keys", func(text string) answer { return read(text + ": 1\n") })
	paths, err := filepath.Glob(filepath.Join(folder, "documents", "*.yaml"))
	check(err)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		check(err)
		write(strings.TrimSuffix(path, ".yaml")+".json", read(string(text)))
	}
}

func lines(folder, name string, one func(string) answer) {
	text, err := os.ReadFile(filepath.Join(folder, name+".txt"))
	check(err)
	answers := map[string]answer{}
	for _, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		answers[line] = one(line)
	}
	write(filepath.Join(folder, name+".json"), answers)
}

func read(text string) answer {
	value, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Value: value}
}

func write(path string, value any) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	check(encoder.Encode(value))
	check(os.WriteFile(path, out.Bytes(), 0o644))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
