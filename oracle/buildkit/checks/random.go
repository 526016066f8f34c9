package main

import (
	"fmt"
	"math/rand"
)

// random puts instructions together in ways nobody would write. The seed is fixed.
func random() []aCase {
	source := rand.New(rand.NewSource(1))
	pick := func(from ...string) string { return from[source.Intn(len(from))] }
	var cases []aCase
	for range 400 {
		it := aCase{Title: "random"}
		it.Text += pick("", "", "", "# check=skip=UndefinedVar,JSONArgsRecommended\n", "# check=experimental=all\n")
		for range source.Intn(3) {
			it.Text += pick("ARG G=base\n", "ARG P\n", "arg T=$G\n", "# T is it\nARG T=1\n", "# what\nARG Q=$UNSET\n")
		}
		for stage := range 1 + source.Intn(3) {
			it.Text += pick("", "", "# s0 is\n", "# check=skip=all\n")
			it.Text += pick("FROM ", "FROM ", "from ", "From ")
			it.Text += pick("", "", "", "--platform=linux/amd64 ", "--platform=$TARGETPLATFORM ", "--platform=$BUILDPLATFORM ")
			it.Text += pick("base:1", "base:1", "scratch", "$G:1", "base:${T:-3}", "base:${NOPE:-2}", "armed:1", "shell:1", "s0", "s1")
			it.Text += fmt.Sprintf(pick("\n", " AS s%d\n", " as s%d\n", " AS S%d\n", " AS linux%d\n"), stage)
			for range source.Intn(7) {
				it.Text += pick("", "", "", "", "# check=skip=UndefinedVar for now\n", "# note\n", "# check=experimental=all\n")
				it.Text += pick(
					"RUN x\n", "run x \\\n\n  y\n", "CMD a b\n", "CMD [\"a\"]\n", "cmd a\n", "ENTRYPOINT x\n", "ENTRYPOINT [\"x\"]\n",
					"HEALTHCHECK CMD x\n", "SHELL [\"/bin/sh\"]\n", "ARG A\n", "ARG B=$A\n", "ARG API_KEY\n", "ARG G\n", "ARG TARGETARCH\n",
					"ARG C=$C D=$C\n", "ENV E=$A\n", "ENV F $E\n", "ENV DB_PASSWORD=x PUBLIC_KEY=y\n", "LABEL k v\n", "LABEL a=$B b=${PATHS}\n",
					"WORKDIR w\n", "WORKDIR /w\n", "WORKDIR $E\n", "WORKDIR ${BASE_VERSION}\n", "EXPOSE 80/TCP 81\n", "EXPOSE 1.2.3.4:80:80\n", "EXPOSE 8080:80/Udp\n",
					"COPY a /b\n", "COPY $A ${NONE:-x} /b/\n", "COPY --chown=$U a /\n", "ADD x /y\n", "COPY <<E /h\n$E ${MISSING}\nE\n", "COPY <<'E' /h\n$MISSING\nE\n",
					"USER $E\n", "VOLUME /v $A\n", "STOPSIGNAL ${S:-9}\n", "MAINTAINER me\n", "ONBUILD WORKDIR o\n", "ONBUILD CMD o\n", "ONBUILD ENV TOKEN=$ZZ\n",
					"RUN --mount=type=cache,target=/$A,id=$W x\n", "ENV \\$X=1\n", "ENV Q='$Q' R=\\$R\n", "Copy . .\n", "COPY ./ignored/../a/ /a\n", "ADD git@x:y.git /z\n",
				)
			}
		}
		it.Ignore = pick("", "", "a\nx\n", "*\n", "a\n!b\n", "ignored\n**/x\n")
		cases = append(cases, it)
	}
	return cases
}
