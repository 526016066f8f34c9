//! Mistakes are all reported, each at its place, with a way out.

// A test may fail anywhere, not only in functions that clippy knows as tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use minato_dockerfile::parse;
use minato_resource::SourceFile;

/// Each expected line is `line:column text-at-the-place | message | hint`.
fn check(text: &str, expected: &[&str]) {
    let file = Arc::new(SourceFile::new("Dockerfile", text));
    let (_, diagnostics) = parse(&file);
    let shown: Vec<String> = diagnostics
        .iter()
        .map(|diagnostic| {
            let location = diagnostic.location.as_ref().unwrap();
            format!(
                "{} {} | {}[{}] {} | {}",
                location.position(),
                file.slice(location.span),
                diagnostic.severity,
                diagnostic.code,
                diagnostic.message,
                diagnostic.hint.as_deref().unwrap_or("")
            )
        })
        .collect();
    assert_eq!(shown, expected, "for\n{text}");
}

#[test]
fn several_mistakes_are_reported_at_once() {
    check(
        "FRM a\nFROM alpine AS build\nRUNN make\nCOPY --form=build a b\nENV A\nEXPOSE\n",
        &[
            "1:1 FRM | error[unknown-instruction] unknown instruction 'FRM' | did you mean FROM?",
            "3:1 RUNN | error[unknown-instruction] unknown instruction 'RUNN' | did you mean RUN?",
            "4:6 --form=build | error[unknown-flag] COPY has no flag --form | did you mean --from?",
            "5:5 A | error[bad-pair] ENV A has no value | write ENV NAME=VALUE",
            "6:1 EXPOSE | error[missing-operand] EXPOSE needs a port | write EXPOSE 8080",
        ],
    );
}

#[test]
fn a_forgotten_continuation_is_explained() {
    check(
        "FROM a\nRUN apt-get update\n  apt-get install x\n",
        &["3:3 apt-get | error[unknown-instruction] unknown instruction 'apt-get' | \
           if it belongs to the instruction above, end the line above with the escape character"],
    );
}

#[test]
fn heredocs_under_a_misspelt_instruction_are_not_reported_line_by_line() {
    check(
        "FROM a\nRNU <<EOF\nmake\nmake install\nEOF\nUSER\n",
        &[
            "2:1 RNU | error[unknown-instruction] unknown instruction 'RNU' | did you mean RUN?",
            "6:1 USER | error[missing-operand] USER needs an operand | write USER VALUE",
        ],
    );
}

#[test]
fn an_unterminated_heredoc_names_its_end() {
    check(
        "FROM a\nRUN cat <<EOF\nx\n EOF\nUSER\n",
        &[
            "2:9 <<EOF | error[unterminated-heredoc] the heredoc 'EOF' has no end | \
             line 4 would be the end, but no blanks may stand around it",
            "5:1 USER | error[missing-operand] USER needs an operand | write USER VALUE",
        ],
    );
    check(
        "FROM a\nRUN cat <<-EOF\nx\n",
        &["2:9 <<-EOF | error[unterminated-heredoc] the heredoc 'EOF' has no end | \
           put EOF on a line of its own after the text; only tabs may stand before it"],
    );
}

#[test]
fn places_are_right_behind_continuations() {
    check(
        "FROM a\nCOPY \\\n  # why\n  --from=x \\\n  --chonw=1 \\\n  a b\n",
        &["5:3 --chonw=1 | error[unknown-flag] COPY has no flag --chonw | did you mean --chown?"],
    );
}

#[test]
fn fields_of_mounts_have_places_of_their_own() {
    check(
        "FROM a\nRUN --mount=type=cahce,target=/x --mount=type=cache,targt=/y make\n",
        &[
            "2:13 type=cahce | error[bad-mount] type is 'cahce', it must be one of bind, cache, tmpfs, secret, ssh | \
             did you mean cache?",
            "2:53 targt=/y | error[bad-mount] a mount has no field 'targt' | did you mean target?",
        ],
    );
}

#[test]
fn what_builds_but_is_hardly_meant_is_a_warning() {
    check(
        "FROM a\nRUN a \\\n\n  b\nCMD ['a', 'b']\nMAINTAINER x\nONBUILD RNU x\n",
        &[
            "5:5 ['a', 'b'] | warning[almost-json] this is not valid JSON, so a shell gets it as it stands | \
             use double quotes, no comma at the end, and \\\\ for a backslash",
            "7:9 RNU | warning[unknown-instruction] unknown instruction 'RNU' | did you mean RUN?",
        ],
    );
}

#[test]
fn a_file_without_a_stage_says_how_to_begin() {
    check(
        "# nothing\n",
        &["2:1  | error[no-stage] the file has no FROM, so there is nothing to build | \
           begin with FROM IMAGE, or FROM scratch for an empty image"],
    );
    check(
        "RUN make\nFROM a\n",
        &["1:1 RUN | error[no-stage] RUN stands before the first FROM | \
           start the stage with FROM; only ARG and comments may stand above it"],
    );
}

#[test]
fn of_stages_with_one_name_the_last_is_meant() {
    let file = Arc::new(SourceFile::new("Dockerfile", "FROM a AS x\nFROM b AS y\nFROM c AS X\n"));
    let (dockerfile, _) = parse(&file);
    assert_eq!(dockerfile.stage_named("X"), Some(2));
    assert_eq!(dockerfile.stage_named("Y"), Some(1));
    assert_eq!(dockerfile.stage_named("z"), None);
}
