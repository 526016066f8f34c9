package main

import (
	"context"
	"hash/fnv"
	"log"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// followPods brings each Pod one step on whenever it changes, and looks at all of them again each second, so that a
// step that failed is tried again.
func followPods(ctx context.Context, client kubernetes.Interface) {
	pods := informers.NewSharedInformerFactory(client, time.Second).Core().V1().Pods().Informer()
	step := func(object any) {
		if err := advance(ctx, client, object.(*corev1.Pod).DeepCopy()); err != nil && !superseded(err) {
			log.Print(err)
		}
	}
	_, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    step,
		UpdateFunc: func(_, pod any) { step(pod) },
	})
	if err != nil {
		log.Fatal(err)
	}
	pods.Run(ctx.Done())
}

// superseded says that the Pod has changed or gone since it was seen; the next look at it decides anew.
func superseded(err error) bool { return errors.IsConflict(err) || errors.IsNotFound(err) }

func advance(ctx context.Context, client kubernetes.Interface, pod *corev1.Pod) error {
	pods := client.CoreV1().Pods(pod.Namespace)
	switch {
	case pod.DeletionTimestamp != nil:
		now := int64(0)
		return pods.Delete(ctx, pod.Name, metav1.DeleteOptions{
			GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &pod.UID},
		})
	case pod.Spec.NodeName == "":
		return pods.Bind(ctx, &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Name: pod.Name, UID: pod.UID},
			Target:     corev1.ObjectReference{Kind: "Node", Name: nodeName},
		}, metav1.CreateOptions{})
	}
	status := podStatus(pod)
	if equality.Semantic.DeepEqual(pod.Status, status) {
		return nil
	}
	complain(ctx, client, pod)
	pod.Status = status
	_, err := pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	return err
}

func podStatus(pod *corev1.Pod) corev1.PodStatus {
	status := *pod.Status.DeepCopy()
	if status.StartTime == nil {
		now := metav1.Now()
		status.StartTime = &now
	}
	status.HostIP = "127.0.0.1"
	status.PodIP = address(pod)
	status.PodIPs = []corev1.PodIP{{IP: status.PodIP}}
	status.ObservedGeneration = pod.Generation
	status.ContainerStatuses = nil
	for _, container := range pod.Spec.Containers {
		status.ContainerStatuses = append(status.ContainerStatuses, containerStatus(container, pod))
	}
	status.Phase = phase(status.ContainerStatuses)
	ready := allReady(status.ContainerStatuses)
	setCondition(&status, corev1.PodInitialized, true)
	setCondition(&status, corev1.ContainersReady, ready)
	setCondition(&status, corev1.PodReady, ready)
	return status
}

func phase(containers []corev1.ContainerStatus) corev1.PodPhase {
	phase := corev1.PodSucceeded
	for _, container := range containers {
		switch {
		case container.State.Terminated != nil && container.State.Terminated.ExitCode != 0:
			return corev1.PodFailed
		case container.State.Waiting != nil && container.State.Waiting.Reason == "ImagePullBackOff":
			return corev1.PodPending
		case container.State.Terminated == nil:
			phase = corev1.PodRunning
		}
	}
	return phase
}

func allReady(containers []corev1.ContainerStatus) bool {
	for _, container := range containers {
		if !container.Ready {
			return false
		}
	}
	return true
}

func setCondition(status *corev1.PodStatus, kind corev1.PodConditionType, holds bool) {
	value := corev1.ConditionFalse
	reason := "ContainersNotReady"
	if holds {
		value, reason = corev1.ConditionTrue, ""
	}
	for i := range status.Conditions {
		condition := &status.Conditions[i]
		if condition.Type == kind {
			if condition.Status != value {
				condition.Status, condition.Reason, condition.LastTransitionTime = value, reason, metav1.Now()
			}
			return
		}
	}
	status.Conditions = append(status.Conditions, corev1.PodCondition{
		Type: kind, Status: value, Reason: reason, LastTransitionTime: metav1.Now(),
	})
}

// address is always the same for one Pod; two Pods may share one, as nothing is ever sent there.
func address(pod *corev1.Pod) string {
	hash := fnv.New32()
	hash.Write([]byte(pod.UID))
	sum := hash.Sum32()
	return netip.AddrFrom4([4]byte{10, 244, byte(sum >> 8), byte(sum)%250 + 1}).String()
}

// complain writes the events that a kubelet would write about the Pod.
func complain(ctx context.Context, client kubernetes.Interface, pod *corev1.Pod) {
	for _, container := range pod.Spec.Containers {
		reason, message := complaint(container)
		if reason == "" {
			continue
		}
		now := metav1.Now()
		_, err := client.CoreV1().Events(pod.Namespace).Create(ctx, &corev1.Event{
			ObjectMeta: metav1.ObjectMeta{GenerateName: pod.Name + "."},
			InvolvedObject: corev1.ObjectReference{
				APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID,
				FieldPath: "spec.containers{" + container.Name + "}",
			},
			Type: corev1.EventTypeWarning, Reason: reason, Message: message, Count: 1,
			FirstTimestamp: now, LastTimestamp: now,
			Source: corev1.EventSource{Component: "kubelet", Host: nodeName},
		}, metav1.CreateOptions{})
		if err != nil {
			log.Print(err)
		}
	}
}
