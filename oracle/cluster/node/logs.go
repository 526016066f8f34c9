package main

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/cert"
)

// serveLogs answers the API server's questions for a container's log, on a free port of 127.0.0.1, which it returns.
func serveLogs(client kubernetes.Interface) (int32, error) {
	certificate, key, err := cert.GenerateSelfSignedCertKey("127.0.0.1", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	if err != nil {
		return 0, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return 0, err
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		return 0, err
	}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", func(out http.ResponseWriter, in *http.Request) {
		pod, err := client.CoreV1().Pods(in.PathValue("namespace")).Get(in.Context(), in.PathValue("pod"), metav1.GetOptions{})
		if err != nil {
			http.Error(out, err.Error(), http.StatusNotFound)
			return
		}
		writeLog(out, pod, in.PathValue("container"))
	})
	go func() { log.Fatal(http.Serve(listener, routes)) }()
	return int32(listener.Addr().(*net.TCPAddr).Port), nil
}

func writeLog(out io.Writer, pod *corev1.Pod, name string) {
	for _, container := range pod.Spec.Containers {
		if container.Name == name {
			_, _ = io.WriteString(out, logOf(container))
		}
	}
}
