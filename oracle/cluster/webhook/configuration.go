package main

import (
	"encoding/base64"
	"fmt"
)

// configuration makes the API server ask the webhook about objects in namespaces with the label `webhook: "on"`.
func configuration(address string, authority []byte) []byte {
	return fmt.Appendf(nil, `apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: minato-test}
webhooks:
  - name: mutate.webhook.example
    admissionReviewVersions: [v1]
    sideEffects: None
    failurePolicy: Fail
    reinvocationPolicy: IfNeeded
    clientConfig: {url: "https://%s/mutate", caBundle: %s}
    namespaceSelector: {matchLabels: {webhook: "on"}}
    rules:
      - {apiGroups: ["", apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments, services, configmaps]}
`, address, base64.StdEncoding.EncodeToString(authority))
}
