package main

import (
	"math/rand"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// expandEnv is the environment of all cases. Names not in it are unset.
var expandEnv = []string{
	"A=a", "B=bb", "EMPTY=", "PATH=/usr/bin:/bin", "FILE=a.tar.gz", "WORDS=one two  three", "STAR=a*b", "DOLLAR=$0-$$-$A",
	"SLASH=a/b/c", "QUOTE=\"it's\"", "BACK=a\\b", "UNICODE=äöü", "LINES=one\ntwo", "VERSION=1.2.3-rc1", "X=aaa",
}

type expandResult struct {
	Escape string  `json:"escape"`
	Word   string  `json:"word"`
	Result *string `json:"result"`
	// Words is left out where the text has a ${NAME…word}: BuildKit forgets the part of a word before it then.
	Words []string `json:"words,omitempty"`
	// Text is the word as a heredoc's content; the escape character is the backslash then.
	Text  *string `json:"text,omitempty"`
	Error string  `json:"error,omitempty"`
}

func writeExpand(root string) error {
	data, err := os.ReadFile(filepath.Join(root, "expand", "cases.txt"))
	if err != nil {
		return err
	}
	words := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	words = append(words, randomWords()...)
	var results []expandResult
	for _, word := range words {
		if strings.HasPrefix(word, "# ") {
			continue
		}
		results = append(results, expandOne(word, '\\'))
		if strings.ContainsAny(word, "`\\") {
			results = append(results, expandOne(word, '`'))
		}
	}
	return writeLines(filepath.Join(root, "expand", "expected.jsonl"), results)
}

func expandOne(word string, escape rune) expandResult {
	env := shell.EnvsFromSlice(expandEnv)
	result := expandResult{Escape: string(escape), Word: word}
	expanded, _, err := shell.NewLex(escape).ProcessWord(word, env)
	if err != nil {
		result.Error = err.Error()
	} else {
		result.Result = &expanded
		if !strings.Contains(word, "${") {
			result.Words, _ = shell.NewLex(escape).ProcessWords(word, env)
		}
	}
	if escape == '\\' {
		lex := shell.NewLex(escape)
		lex.SkipProcessQuotes = true
		if text, _, err := lex.ProcessWord(word, env); err == nil {
			result.Text = &text
		}
	}
	return result
}

func randomWords() []string {
	random := rand.New(rand.NewSource(2))
	pieces := []string{
		"$", "${", "}", "}", "A", "X", "B", "EMPTY", "FILE", "UNSET", "SLASH", "STAR", "DOLLAR", ":-", "-", ":+", "+", ":?", "?", "#", "##",
		"%", "%%", "/", "//", "\\", "`", "\"", "'", "*", "?", "a", "b", ".", " ", "<", "\\*", "\\}", "\\/", "1", "${A", "${X", "${FILE", "${SLASH",
		"\\\\", "$A",
	}
	var out []string
	for range 2500 {
		var word strings.Builder
		for range 1 + random.Intn(8) {
			word.WriteString(pieces[random.Intn(len(pieces))])
		}
		if !strings.HasPrefix(word.String(), "# ") {
			out = append(out, word.String())
		}
	}
	return out
}
