package main

import (
	"math/rand"
	"path/filepath"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// tree is what the patterns are tried on; folders end in a slash here and stand before their content.
var tree = []string{
	"a", "ab", "b/", "b/a", "b/c/", "b/c/a", "b/c/x.md", "README.md", "README-secret.md", "docs/", "docs/README.md",
	"docs/img/", "docs/img/a.png", ".git/", ".git/HEAD", ".env", "node_modules/", "node_modules/x/", "node_modules/x/index.js",
	"src/", "src/main.rs", "src/a b.txt", "src/x[1].txt", "src/é.txt", "target/", "target/debug/", "target/debug/app", "x.md", "src/deep/",
	"src/deep/er/", "src/deep/er/a", "src/deep/er/x.md", "#hash", "!bang", "*star",
}

type ignoreResult struct {
	Title    string   `json:"title"`
	Text     string   `json:"text"`
	Error    string   `json:"error,omitempty"`
	Excluded []string `json:"excluded"`
}

func writeIgnore(root string) error {
	sections, err := readSections(filepath.Join(root, "ignore", "cases.txt"))
	if err != nil {
		return err
	}
	var results []ignoreResult
	for _, section := range sections {
		results = append(results, ignoreOne(section.Title, section.Body))
	}
	for _, text := range randomIgnoreFiles() {
		results = append(results, ignoreOne("random", text))
	}
	return writeLines(filepath.Join(root, "ignore", "expected.jsonl"), results)
}

func ignoreOne(title, text string) ignoreResult {
	result := ignoreResult{Title: title, Text: text, Excluded: []string{}}
	excluded, err := walk(text)
	if err != nil {
		result.Error = err.Error()
		return result
	}
	result.Excluded = append(result.Excluded, excluded...)
	return result
}

// walk asks for every path of the tree on the way down, as BuildKit does when it sends a context.
func walk(text string) ([]string, error) {
	patterns, err := ignorefile.ReadAll(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, err
	}
	infos := map[string]patternmatcher.MatchInfo{}
	var excluded []string
	for _, entry := range tree {
		path := strings.TrimSuffix(entry, "/")
		matched, info, err := matcher.MatchesUsingParentResults(path, infos[filepath.Dir(path)])
		if err != nil {
			return nil, err
		}
		infos[path] = info
		if matched {
			excluded = append(excluded, path)
		}
	}
	return excluded, nil
}

func randomIgnoreFiles() []string {
	random := rand.New(rand.NewSource(3))
	pieces := []string{
		"a", "b", "*", "**", "/", "/", "src", "docs", ".md", "x", "?", "README", "deep", "er", "c", "[a-c]", "[^a]", "\\*", ".", "..", "node_modules",
	}
	var out []string
	for range 600 {
		var text strings.Builder
		for range 1 + random.Intn(4) {
			if random.Intn(3) == 0 {
				text.WriteString("!")
			}
			for range 1 + random.Intn(5) {
				text.WriteString(pieces[random.Intn(len(pieces))])
			}
			text.WriteString("\n")
		}
		out = append(out, text.String())
	}
	return out
}
