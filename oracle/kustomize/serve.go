package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"sigs.k8s.io/kustomize/kyaml/kio"
	"sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/kustomize/kyaml/yaml/merge2"
)

// request is one line of standard input. With `read` alone the text's objects are read; with `strategic` or `json` as
// well, that patch is applied to the first of them.
type request struct {
	Read      string  `json:"read"`      // YAML text
	Strategic *string `json:"strategic"` // strategic merge patch, as YAML
	JSON      *string `json:"json"`      // JSON patch, as JSON
	Merge     *string `json:"merge"`     // JSON merge patch, as JSON
}

// reply is the line of standard output for a request: JSON text, one object a line, or why it was refused.
type reply struct {
	Text  string `json:"text"`
	Error string `json:"error,omitempty"`
}

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
		text, err := asked.answer()
		if err != nil {
			check(out.Encode(reply{Error: err.Error()}))
		} else {
			check(out.Encode(reply{Text: text}))
		}
	}
}

func (asked request) answer() (text string, err error) {
	defer func() {
		if problem := recover(); problem != nil {
			err = fmt.Errorf("panic: %v", problem)
		}
	}()
	nodes, err := read(asked.Read)
	if err != nil {
		return "", err
	}
	switch {
	case asked.Strategic != nil:
		patches, err := read(*asked.Strategic)
		if err != nil {
			return "", err
		}
		options := yaml.MergeOptions{ListIncreaseDirection: yaml.MergeOptionsListPrepend}
		node, err := merge2.Merge(patches[0], nodes[0], options)
		if err != nil {
			return "", err
		}
		nodes = []*yaml.RNode{node}
	case asked.JSON != nil:
		patch, err := jsonpatch.DecodePatch([]byte(*asked.JSON))
		if err != nil {
			return "", err
		}
		return changed(nodes[0], patch.Apply)
	case asked.Merge != nil:
		return changed(nodes[0], func(object []byte) ([]byte, error) {
			return jsonpatch.MergePatch(object, []byte(*asked.Merge))
		})
	}
	return written(nodes)
}

func read(text string) ([]*yaml.RNode, error) {
	reader := kio.ByteReader{Reader: bytes.NewBufferString(text), OmitReaderAnnotations: true, AnchorsAweigh: true}
	return reader.Read()
}

func changed(node *yaml.RNode, change func([]byte) ([]byte, error)) (string, error) {
	object, err := node.MarshalJSON()
	if err != nil {
		return "", err
	}
	object, err = change(object)
	return string(object), err
}

func written(nodes []*yaml.RNode) (string, error) {
	var out bytes.Buffer
	for _, node := range nodes {
		if node.IsNilOrEmpty() {
			out.WriteString("null\n")
			continue
		}
		object, err := node.MarshalJSON()
		if err != nil {
			return "", err
		}
		out.Write(object)
		out.WriteByte('\n')
	}
	return out.String(), nil
}
