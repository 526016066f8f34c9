package main

import (
	"errors"
	"math/rand"
	"path/filepath"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// mountEnv is what variables in --mount are expanded with.
var mountEnv = []string{"A=a", "DIR=/dir", "EMPTY="}

type object = map[string]any

type parseResult struct {
	Title string `json:"title"`
	Text  string `json:"text"`
	// Error is BuildKit's message when it refuses the file; then Lines is where, first and last.
	Error      string `json:"error,omitempty"`
	Lines      []int  `json:"lines,omitempty"`
	Dockerfile object `json:"dockerfile,omitempty"`
}

func writeParse(root string) error {
	sections, err := readSections(filepath.Join(root, "parse", "cases.txt"))
	if err != nil {
		return err
	}
	var results []parseResult
	for _, section := range sections {
		// Line ends and marks that an editor would not keep are written as escapes.
		text := strings.NewReplacer("␍", "\r", "␠", " ", "␉", "\t", "␄\n", "").Replace(section.Body)
		results = append(results, parseOne(section.Title, text))
	}
	for _, text := range randomDockerfiles() {
		results = append(results, parseOne("random", text))
	}
	return writeLines(filepath.Join(root, "parse", "expected.jsonl"), results)
}

func parseOne(title, text string) parseResult {
	result := parseResult{Title: title, Text: text}
	dockerfile, err := parseDockerfile(text)
	if err != nil {
		result.Error = err.Error()
		var located *parser.LocationError
		if errors.As(err, &located) && len(located.Locations) > 0 && len(located.Locations[0]) > 0 {
			place := located.Locations[0]
			result.Lines = []int{place[0].Start.Line, place[len(place)-1].End.Line}
		}
		return result
	}
	result.Dockerfile = dockerfile
	return result
}

func parseDockerfile(text string) (object, error) {
	parsed, err := parser.Parse(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	stages, args, err := instructions.Parse(parsed.AST, linter.New(&linter.Config{}))
	if err != nil {
		return nil, err
	}
	if len(stages) == 0 {
		return nil, errors.New("dockerfile contains no stages to build")
	}
	out := object{"escape": string(parsed.EscapeToken)}
	var global []any
	for _, arg := range args {
		global = append(global, argObject(&arg))
	}
	out["global_args"] = global
	var stageObjects []any
	for _, stage := range stages {
		commands := []any{}
		for _, command := range stage.Commands {
			described, err := commandObject(command, parsed.EscapeToken)
			if err != nil {
				return nil, err
			}
			commands = append(commands, described)
		}
		stageObjects = append(stageObjects, object{
			"image": stage.BaseName, "name": stage.Name, "platform": stage.Platform, "instructions": commands,
		})
	}
	out["stages"] = stageObjects
	return out, nil
}

func argObject(arg *instructions.ArgCommand) object {
	var definitions []any
	for _, it := range arg.Args {
		definitions = append(definitions, []any{it.Key, it.Value})
	}
	return object{"arg": definitions}
}

func pairs(values instructions.KeyValuePairs) []any {
	var out []any
	for _, it := range values {
		out = append(out, []any{it.Key, it.Value, it.NoDelim})
	}
	return out
}

func commandObject(command instructions.Command, escape rune) (object, error) {
	switch c := command.(type) {
	case *instructions.ArgCommand:
		return argObject(c), nil
	case *instructions.EnvCommand:
		return object{"env": pairs(c.Env)}, nil
	case *instructions.LabelCommand:
		return object{"label": pairs(c.Labels)}, nil
	case *instructions.MaintainerCommand:
		return object{"maintainer": c.Maintainer}, nil
	case *instructions.UserCommand:
		return object{"user": c.User}, nil
	case *instructions.WorkdirCommand:
		return object{"workdir": c.Path}, nil
	case *instructions.StopSignalCommand:
		return object{"stopsignal": c.Signal}, nil
	case *instructions.ExposeCommand:
		return object{"expose": c.Ports}, nil
	case *instructions.VolumeCommand:
		return object{"volume": c.Volumes}, nil
	case *instructions.ShellCommand:
		return object{"shell": c.Shell}, nil
	case *instructions.OnbuildCommand:
		return object{"onbuild": c.Expression}, nil
	case *instructions.CmdCommand:
		return object{"cmd": commandLine(c.ShellDependantCmdLine)}, nil
	case *instructions.EntrypointCommand:
		return object{"entrypoint": commandLine(c.ShellDependantCmdLine)}, nil
	case *instructions.HealthCheckCommand:
		return object{"healthcheck": []any{
			c.Health.Test, c.Health.Interval, c.Health.Timeout, c.Health.StartPeriod, c.Health.StartInterval, c.Health.Retries,
		}}, nil
	case *instructions.CopyCommand:
		if err := checkFrom(c.From, escape); err != nil {
			return nil, parser.WithLocation(err, c.Location())
		}
		out := transfer(c.SourcesAndDest, c.Chown, c.Chmod, c.Link, c.ExcludePatterns)
		out["from"], out["parents"] = c.From, c.Parents
		return object{"copy": out}, nil
	case *instructions.AddCommand:
		out := transfer(c.SourcesAndDest, c.Chown, c.Chmod, c.Link, c.ExcludePatterns)
		out["checksum"], out["keep_git_dir"], out["unpack"] = c.Checksum, c.KeepGitDir, c.Unpack
		return object{"add": out}, nil
	case *instructions.RunCommand:
		return runObject(c, escape)
	}
	return nil, errors.New("unknown command")
}

// checkFrom does what the conversion to LLB does with COPY --from.
func checkFrom(from string, escape rune) error {
	if from == "" {
		return nil
	}
	word, _, err := shell.NewLex(escape).ProcessWord(from, shell.EnvsFromSlice(nil))
	if err != nil {
		return err
	}
	if word != from {
		return errors.New("variable expansion is not supported for --from")
	}
	return nil
}

func commandLine(line instructions.ShellDependantCmdLine) any {
	if line.PrependShell {
		return strings.Join(line.CmdLine, " ")
	}
	if line.CmdLine == nil {
		return []string{}
	}
	return line.CmdLine
}

func transfer(it instructions.SourcesAndDest, chown, chmod string, link bool, exclude []string) object {
	var heredocs []any
	for _, content := range it.SourceContents {
		heredocs = append(heredocs, []any{content.Path, content.Data, content.Expand})
	}
	return object{
		"sources": it.SourcePaths, "destination": it.DestPath, "heredocs": heredocs,
		"chown": chown, "chmod": chmod, "link": link, "exclude": exclude,
	}
}

func runObject(c *instructions.RunCommand, escape rune) (object, error) {
	lex := shell.NewLex(escape)
	env := shell.EnvsFromSlice(mountEnv)
	err := c.Expand(func(word string) (string, error) {
		out, _, err := lex.ProcessWord(word, env)
		return out, err
	})
	if err != nil {
		return nil, parser.WithLocation(err, c.Location())
	}
	var mounts, devices []any
	for _, m := range instructions.GetMounts(c) {
		mounts = append(mounts, []any{
			m.Type, m.From, m.Source, m.Target, m.ReadOnly, m.SizeLimit, m.CacheID, m.CacheSharing, m.Required,
			m.Env, m.Mode, m.UID, m.GID,
		})
	}
	for _, d := range instructions.GetDevices(c) {
		devices = append(devices, []any{d.Name, d.Required})
	}
	return object{"run": object{
		"script": script(c), "mounts": mounts, "devices": devices,
		"network": instructions.GetNetwork(c), "security": instructions.GetSecurity(c),
	}}, nil
}

// script is what BuildKit starts: {"shell": text}, {"file": [name, content]} or {"exec": arguments}.
func script(c *instructions.RunCommand) object {
	if !c.PrependShell {
		return object{"exec": commandLine(c.ShellDependantCmdLine)}
	}
	line := strings.Join(c.CmdLine, " ")
	if len(c.Files) == 0 {
		return object{"shell": line}
	}
	if parser.MustParseHeredoc(line) == nil {
		for _, file := range c.Files {
			line += "\n" + file.Data + file.Name
		}
		return object{"shell": line}
	}
	content := c.Files[0].Data
	if c.Files[0].Chomp {
		content = parser.ChompHeredocContent(content)
	}
	if strings.HasPrefix(content, "#!") {
		return object{"file": []any{c.Files[0].Name, content}}
	}
	return object{"shell": content}
}

// randomDockerfiles puts pieces of the grammar together in ways nobody would write. The seed is fixed.
func randomDockerfiles() []string {
	random := rand.New(rand.NewSource(1))
	pieces := []string{
		"RUN ", "COPY ", "ADD ", "ENV ", "LABEL ", "ARG ", "CMD ", "ENTRYPOINT ", "HEALTHCHECK ", "ONBUILD ", "VOLUME ",
		"EXPOSE ", "FROM ", "USER ", "WORKDIR ", "SHELL ", "STOPSIGNAL ", "run ", "Copy ", "NONE ", "CMD ",
		"a", "b c", "x=1", "k=\"v w\"", "'q'", "\"", "'", "\\", "\\\n", "\n", "\n", "\n", " ", "\t", "#c\n", "\n# c\n",
		"--from=a ", "--chown=1:2 ", "--link ", "--mount=type=cache,target=/x ", "--network=none ", "--interval=3s ", "--x ",
		"[\"a\",\"b\"]", "[\"a\", 1]", "[a]", "[]", "<<EOF", "<<-EOF", "<<'E'", "\nEOF\n", "\n\tEOF\n", "\nE\n", "$A", "${A:-b}",
		"AS s ", "as ", "=", ",", "`", "`\n", "--", "-- ", "\r\n",
	}
	starts := []string{"FROM a\n", "FROM a\n", "FROM a AS b\n", "# escape=`\nFROM a\n", "", "ARG x\nFROM a\n"}
	var out []string
	for range 1500 {
		text := starts[random.Intn(len(starts))]
		for range 1 + random.Intn(9) {
			text += pieces[random.Intn(len(pieces))]
		}
		out = append(out, text)
	}
	return out
}
