// Command checks writes what BuildKit's own linter says of the Dockerfiles in crates/lint/testdata/as-buildkit, so that
// the crate's tests can compare without Go. No daemon is needed: the Dockerfile is lowered as for a build, with base
// images and an ignore file that this program answers for.
//
//	go run ./checks ../../crates/lint/testdata/as-buildkit
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerui"
)

// aCase is a Dockerfile with what the command line says.
type aCase struct {
	Title     string            `json:"title"`
	Text      string            `json:"text"`
	Target    string            `json:"target,omitempty"`
	Arguments map[string]string `json:"arguments,omitempty"`
	Ignore    string            `json:"ignore,omitempty"`
	// Warnings are rules with the lines that they name, first and last.
	Warnings []warning `json:"warnings"`
	// Error is why BuildKit does not build it.
	Error string `json:"error,omitempty"`
}

type warning struct {
	Rule  string `json:"rule"`
	First int    `json:"first"`
	Last  int    `json:"last"`
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: checks TESTDATA")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(folder string) error {
	data, err := os.ReadFile(filepath.Join(folder, "cases.txt"))
	if err != nil {
		return err
	}
	cases := append(written(string(data)), random()...)
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	for _, it := range cases {
		it.lint()
		// A random file that can't be built says little: what is found depends on where the reading ended.
		if it.Error != "" && it.Title == "random" {
			continue
		}
		if err := encoder.Encode(it); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(folder, "expected.jsonl"), out.Bytes(), 0o644)
}

// written reads `=== title` sections. Lines that begin with @ say what the command line and the ignore file say.
func written(text string) []aCase {
	var cases []aCase
	for _, line := range strings.SplitAfter(text, "\n") {
		if title, ok := strings.CutPrefix(line, "=== "); ok {
			cases = append(cases, aCase{Title: strings.TrimSpace(title), Arguments: map[string]string{}})
			continue
		}
		if len(cases) == 0 {
			continue
		}
		last := &cases[len(cases)-1]
		value := strings.TrimSpace(line)
		if target, ok := strings.CutPrefix(value, "@target "); ok {
			last.Target = target
		} else if argument, ok := strings.CutPrefix(value, "@argument "); ok {
			name, value, _ := strings.Cut(argument, "=")
			last.Arguments[name] = value
		} else if pattern, ok := strings.CutPrefix(value, "@ignore "); ok {
			last.Ignore += pattern + "\n"
		} else {
			last.Text += line
		}
	}
	return cases
}

func (c *aCase) lint() {
	c.Warnings = []warning{}
	gateway := &gateway{ignore: []byte(c.Ignore), options: map[string]string{"target": c.Target}}
	for name, value := range c.Arguments {
		gateway.options["build-arg:"+name] = value
	}
	client, err := dockerui.NewClient(gateway)
	if err != nil {
		c.Error = err.Error()
		return
	}
	source := llb.NewSourceMap(nil, "Dockerfile", "Dockerfile", []byte(c.Text))
	source.Definition = &llb.Definition{}
	results, err := dockerfile2llb.DockerfileLint(context.Background(), []byte(c.Text), dockerfile2llb.ConvertOpt{
		Config:       client.Config,
		Client:       client,
		MetaResolver: bases{},
		SourceMap:    source,
	})
	if err != nil {
		c.Error = err.Error()
		return
	}
	if results.Error != nil {
		c.Error = results.Error.Message
	}
	for _, found := range results.Warnings {
		lines := found.Location.Ranges
		it := warning{Rule: found.RuleName, First: int(lines[0].Start.Line), Last: int(lines[len(lines)-1].End.Line)}
		c.Warnings = append(c.Warnings, it)
	}
}
