package main

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"

	"sigs.k8s.io/yaml"
)

// request is one line of standard input; exactly one of the fields is set.
type request struct {
	Emit *string `json:"emit"` // JSON text to write as YAML
	Read *string `json:"read"` // YAML text to read
}

// reply is the line of standard output for a request.
type reply struct {
	Text  string `json:"text"`
	Error string `json:"error,omitempty"`
}

// serve answers line by line until standard input ends.
func serve() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var asked request
		check(json.Unmarshal(line, &asked))
		check(out.Encode(asked.answer()))
	}
}

func (asked request) answer() reply {
	var text []byte
	var err error
	if asked.Emit != nil {
		text, err = emit(*asked.Emit)
	} else {
		text, err = yaml.YAMLToJSON([]byte(*asked.Read))
	}
	if err != nil {
		return reply{Error: err.Error()}
	}
	return reply{Text: string(text)}
}

// emit writes a JSON text as `kubectl` writes an object: integers as integers, the other numbers as floats.
func emit(text string) ([]byte, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	return yaml.Marshal(typed(value))
}

func typed(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, item := range value {
			value[key] = typed(item)
		}
	case []any:
		for index, item := range value {
			value[index] = typed(item)
		}
	case json.Number:
		if strings.ContainsAny(string(value), ".eE") {
			float, err := value.Float64()
			check(err)
			return float
		}
	}
	return value
}
