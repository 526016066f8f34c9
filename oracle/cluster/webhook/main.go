// Command webhook is a mutating admission webhook as service meshes and policy engines bring them: it adds fields and
// puts lists into an order of its own. It serves on a free port of 127.0.0.1 and writes the configuration that makes an
// API server ask it; the test that wants it applies that file.
package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"os"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/client-go/util/cert"
)

const bodyLimit = 8 << 20

func main() {
	file := flag.String("configuration", "", "where to write the MutatingWebhookConfiguration")
	flag.Parse()
	certificate, key, err := cert.GenerateSelfSignedCertKey("127.0.0.1", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	if err != nil {
		log.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(*file, configuration(listener.Addr().String(), certificate), 0o644); err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("POST /mutate", mutateOver)
	log.Fatal(http.Serve(listener, nil))
}

// mutateOver answers one AdmissionReview.
func mutateOver(out http.ResponseWriter, in *http.Request) {
	var review admissionv1.AdmissionReview
	body, err := io.ReadAll(io.LimitReader(in.Body, bodyLimit))
	if err == nil {
		err = json.Unmarshal(body, &review)
	}
	if err != nil || review.Request == nil {
		http.Error(out, "not an AdmissionReview", http.StatusBadRequest)
		return
	}
	patch, err := mutate(review.Request.Object.Raw)
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	kind := admissionv1.PatchTypeJSONPatch
	review.Response = &admissionv1.AdmissionResponse{
		UID: review.Request.UID, Allowed: true, Patch: patch, PatchType: &kind,
	}
	review.Request = nil
	out.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(out).Encode(review)
}
