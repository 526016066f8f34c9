// Command node stands in for a kubelet and the scheduler: it registers one Node with the API server, gives every Pod to
// it and writes the status that a kubelet would write, without running anything. It serves the log of a Pod as a
// kubelet does. How a Pod fares is read from its containers; see behaviour.go.
package main

import (
	"context"
	"flag"
	"log"
	"os/signal"
	"syscall"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const nodeName = "minato-test-node"

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	config.QPS, config.Burst = 500, 500
	client := kubernetes.NewForConfigOrDie(config)
	port, err := serveLogs(client)
	if err != nil {
		log.Fatal(err)
	}
	if err := register(ctx, client, port); err != nil {
		log.Fatal(err)
	}
	followPods(ctx, client)
}
