// Writes the facts that Kustomize has built in, as compact Rust tables: which fields each transformation looks at,
// and which fields hold names of other objects. They are read from the source of the pinned module: the package that
// holds them is internal, so nothing can import it.
package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

const module = "sigs.k8s.io/kustomize/api@v0.18.0"

type fieldSpec struct {
	Group, Version, Kind, Path string
	Create                     bool
}

type nameReference struct {
	Group, Version, Kind string
	FieldSpecs           []fieldSpec
}

func main() {
	consts := stringConstants(filepath.Join(folder(module), "internal/konfig/builtinpluginconsts"))
	fmt.Println("//! What Kustomize has built in. Made by `oracle/fieldspecs`; do not edit.")
	fmt.Println()
	fmt.Println("/// Field specs: group, version, kind, path, whether the field is created.")
	fmt.Println("pub(super) type Row = (&'static str, &'static str, &'static str, &'static str, bool);")
	fmt.Println()
	fmt.Println("/// Kind (with group and version) of what a name is of, and the fields that hold it.")
	fmt.Println("pub(super) type NameRow = (&'static str, &'static str, &'static str, &'static [Row]);")
	for _, table := range []struct{ name, constant, key string }{
		{"NAME_PREFIX", "namePrefixFieldSpecs", "namePrefix"},
		{"NAME_SUFFIX", "nameSuffixFieldSpecs", "nameSuffix"},
		{"NAMESPACE", "namespaceFieldSpecs", "namespace"},
		{"COMMON_LABELS", "commonLabelFieldSpecs", "commonLabels"},
		{"TEMPLATE_LABELS", "templateLabelFieldSpecs", "templateLabels"},
		{"COMMON_ANNOTATIONS", "commonAnnotationFieldSpecs", "commonAnnotations"},
		{"VAR_REFERENCE", "varReferenceFieldSpecs", "varReference"},
		{"IMAGES", "imagesFieldSpecs", "images"},
		{"REPLICAS", "replicasFieldSpecs", "replicas"},
	} {
		specs := map[string][]fieldSpec{}
		must(yaml.Unmarshal([]byte(consts[table.constant]), &specs))
		fmt.Printf("\npub(super) const %s: &[Row] = %s;\n", table.name, rows(specs[table.key], ""))
	}
	references := map[string][]nameReference{}
	must(yaml.Unmarshal([]byte(consts["nameReferenceFieldSpecs"]), &references))
	fmt.Print("\npub(super) const NAME_REFERENCE: &[NameRow] = &[\n")
	for _, reference := range references["nameReference"] {
		fmt.Printf("    (%q, %q, %q, %s),\n", reference.Group, reference.Version, reference.Kind, rows(reference.FieldSpecs, "    "))
	}
	fmt.Print("];\n")
}

func rows(specs []fieldSpec, indent string) string {
	var out strings.Builder
	out.WriteString("&[\n")
	for _, s := range specs {
		fmt.Fprintf(&out, "%s    (%q, %q, %q, %s, %t),\n", indent, s.Group, s.Version, s.Kind, raw(s.Path), s.Create)
	}
	out.WriteString(indent + "]")
	return out.String()
}

func raw(path string) string {
	if strings.Contains(path, `\`) {
		return `r"` + path + `"`
	}
	return strconv.Quote(path)
}

// The folder of a module in the local cache, downloaded when it is not there.
func folder(module string) string {
	out, err := exec.Command("go", "mod", "download", "-json", module).Output()
	must(err)
	var answer struct{ Dir string }
	must(json.Unmarshal(out, &answer))
	return answer.Dir
}

// Every string constant of a package; sums of constants are evaluated.
func stringConstants(folder string) map[string]string {
	packages, err := parser.ParseDir(token.NewFileSet(), folder, nil, 0)
	must(err)
	expressions := map[string]ast.Expr{}
	for _, p := range packages {
		ast.Inspect(p, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == len(spec.Names) {
				for i, name := range spec.Names {
					expressions[name.Name] = spec.Values[i]
				}
			}
			return true
		})
	}
	var value func(ast.Expr) string
	value = func(e ast.Expr) string {
		switch e := e.(type) {
		case *ast.BasicLit:
			text, err := strconv.Unquote(e.Value)
			must(err)
			return text
		case *ast.BinaryExpr:
			return value(e.X) + value(e.Y)
		case *ast.Ident:
			return value(expressions[e.Name])
		}
		panic("not a string constant")
	}
	result := map[string]string{}
	for name, expression := range expressions {
		if strings.HasSuffix(name, "FieldSpecs") {
			result[name] = value(expression)
		}
	}
	return result
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
