package main

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// How a container fares.
type behaviour string

const (
	good        behaviour = "good"
	crashes     behaviour = "crash-at-start" // ends with code 3 each time
	neverReady  behaviour = "never-ready"    // runs, and its readiness probe fails
	outOfMemory behaviour = "out-of-memory"  // is killed for memory each time
	noImage     behaviour = "no-image"       // its image can't be pulled
)

// behaviourOf reads a container's environment variable BEHAVIOUR, else its image: a tag that ends with a behaviour's
// name ("1.2.0-never-ready").
func behaviourOf(container corev1.Container) behaviour {
	for _, variable := range container.Env {
		if variable.Name == "BEHAVIOUR" {
			return behaviour(variable.Value)
		}
	}
	for _, known := range []behaviour{crashes, neverReady, outOfMemory, noImage} {
		if strings.HasSuffix(container.Image, "-"+string(known)) {
			return known
		}
	}
	return good
}

// containerStatus is what a kubelet reports of it once nothing changes any more.
func containerStatus(container corev1.Container, pod *corev1.Pod) corev1.ContainerStatus {
	status := corev1.ContainerStatus{Name: container.Name, Image: container.Image, ImageID: "test://" + container.Image}
	mayRestart := pod.Spec.RestartPolicy == corev1.RestartPolicyAlways
	switch behaviourOf(container) {
	case crashes:
		failed(&status, pod, &corev1.ContainerStateTerminated{ExitCode: 3, Reason: "Error"})
	case outOfMemory:
		failed(&status, pod, &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"})
	case noImage:
		status.ImageID = ""
		status.State.Waiting = &corev1.ContainerStateWaiting{
			Reason: "ImagePullBackOff", Message: `Back-off pulling image "` + container.Image + `"`,
		}
	case neverReady:
		status.State.Running = &corev1.ContainerStateRunning{}
	default:
		if mayRestart {
			status.Ready = true
			status.State.Running = &corev1.ContainerStateRunning{}
		} else {
			status.State.Terminated = &corev1.ContainerStateTerminated{Reason: "Completed"}
		}
	}
	started := status.State.Running != nil
	status.Started = &started
	return status
}

func failed(status *corev1.ContainerStatus, pod *corev1.Pod, ended *corev1.ContainerStateTerminated) {
	if pod.Spec.RestartPolicy == corev1.RestartPolicyNever {
		status.State.Terminated = ended
		return
	}
	status.RestartCount = 4
	status.LastTerminationState.Terminated = ended
	status.State.Waiting = &corev1.ContainerStateWaiting{
		Reason:  "CrashLoopBackOff",
		Message: "back-off 1m20s restarting failed container=" + status.Name + " pod=" + pod.Name + "_" + pod.Namespace,
	}
}

// logOf is what the container has written.
func logOf(container corev1.Container) string {
	switch behaviourOf(container) {
	case crashes:
		return "starting\nfatal: the database does not answer\n"
	case noImage:
		return ""
	default:
		return "starting\nlistening\n"
	}
}

// complaint is the event that a kubelet would write about it, as reason and message; empty when all is well.
func complaint(container corev1.Container) (string, string) {
	switch behaviourOf(container) {
	case crashes, outOfMemory:
		return "BackOff", "Back-off restarting failed container " + container.Name
	case noImage:
		return "Failed", `Failed to pull image "` + container.Image + `": not found`
	case neverReady:
		return "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"
	default:
		return "", ""
	}
}
