// Command kustomize is the parts of Kustomize 5.5 (what `kubectl` 1.32 embeds) that crates/resource has its own of:
//
//	kustomize tables FOLDER   writes merge-keys.txt and cluster-scoped.txt from the OpenAPI document it embeds
//	kustomize serve           answers requests line by line; see serve.go
package main

import (
	"log"
	"os"
)

func main() {
	switch os.Args[1] {
	case "tables":
		tables(os.Args[2])
	case "serve":
		serve()
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
