// Command dockerfile writes what BuildKit's Dockerfile frontend and moby's patternmatcher make of the cases in
// crates/dockerfile/testdata, so that the crate's tests can compare without Go.
//
//	go run . ../../crates/dockerfile/testdata
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: dockerfile TESTDATA")
		os.Exit(2)
	}
	root := os.Args[1]
	for _, write := range []func(string) error{writeParse, writeExpand, writeIgnore} {
		if err := write(root); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// section is one case of a cases file: `=== title` and the lines under it.
type section struct {
	Title string
	Body  string
}

func readSections(path string) ([]section, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var sections []section
	for _, line := range strings.SplitAfter(string(data), "\n") {
		if title, ok := strings.CutPrefix(line, "=== "); ok {
			sections = append(sections, section{Title: strings.TrimSpace(title)})
		} else if len(sections) > 0 {
			sections[len(sections)-1].Body += line
		}
	}
	return sections, nil
}

// writeLines writes one JSON value a line, so that a changed case is one changed line.
func writeLines[T any](path string, values []T) error {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	for _, value := range values {
		if err := encoder.Encode(value); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Clean(path), out.Bytes(), 0o644)
}
