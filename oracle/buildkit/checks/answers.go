package main

import (
	"context"
	"errors"
	"strings"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	gw "github.com/moby/buildkit/frontend/gateway/client"
	gwpb "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/pb"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	fstypes "github.com/tonistiigi/fsutil/types"
)

// bases are the images that cases may start from: any name, with these variables. One whose name has "arm" in it is
// for another platform, one whose name has "shell" in it says which shell it wants.
type bases struct{}

const config = `{"architecture":"ARCH","os":"linux","config":{"Env":["PATH=/bin","BASE_VERSION=1"]SHELL},` +
	`"rootfs":{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}}`

func (bases) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	architecture, shell := "amd64", ""
	if strings.Contains(ref, "arm") {
		architecture = "arm64"
	}
	if strings.Contains(ref, "shell") {
		shell = `,"Shell":["/bin/bash","-c"]`
	}
	data := strings.NewReplacer("ARCH", architecture, "SHELL", shell).Replace(config)
	return ref, digest.FromString(data), []byte(data), nil
}

// gateway is the part of a daemon that is asked: for options and for the ignore file.
type gateway struct {
	options map[string]string
	ignore  []byte
}

func (g *gateway) BuildOpts() gw.BuildOpts {
	return gw.BuildOpts{
		Opts:    g.options,
		Caps:    gwpb.Caps.CapSet(gwpb.Caps.All()),
		LLBCaps: pb.Caps.CapSet(pb.Caps.All()),
		Workers: []gw.WorkerInfo{{Platforms: []ocispecs.Platform{platforms.MustParse("linux/amd64")}}},
	}
}

func (g *gateway) Solve(context.Context, gw.SolveRequest) (*gw.Result, error) {
	result := gw.NewResult()
	result.SetRef(file{g.ignore})
	return result, nil
}

func (g *gateway) ResolveImageConfig(ctx context.Context, ref string, opt sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	return bases{}.ResolveImageConfig(ctx, ref, opt)
}

func (g *gateway) ResolveSourceMetadata(context.Context, *pb.SourceOp, sourceresolver.Opt) (*sourceresolver.MetaResponse, error) {
	return nil, errNotAnswered
}

func (g *gateway) Inputs(context.Context) (map[string]llb.State, error) { return nil, nil }

func (g *gateway) NewContainer(context.Context, gw.NewContainerRequest) (gw.Container, error) {
	return nil, errNotAnswered
}

func (g *gateway) Warn(context.Context, digest.Digest, string, gw.WarnOpts) error { return nil }

var errNotAnswered = errors.New("this is not answered here")

// file is a snapshot with the ignore file only.
type file struct{ content []byte }

func (f file) ToState() (llb.State, error)    { return llb.Scratch(), nil }
func (f file) Evaluate(context.Context) error { return nil }
func (f file) ReadFile(context.Context, gw.ReadRequest) ([]byte, error) {
	return f.content, nil
}
func (f file) StatFile(context.Context, gw.StatRequest) (*fstypes.Stat, error) {
	return nil, errNotAnswered
}
func (f file) ReadDir(context.Context, gw.ReadDirRequest) ([]*fstypes.Stat, error) {
	return nil, errNotAnswered
}
