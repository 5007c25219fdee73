//! Heredocs of RUN, COPY and ADD.

use acetate_tests::World;
use expect_test::expect;

#[track_caller]
fn out(dockerfile: &str) -> String {
    World::of(dockerfile).image(&[]).file("out")
}

#[test]
fn a_heredoc_is_the_script_of_the_shell() {
    let text = r#"
        FROM base
        ARG name=world
        RUN <<EOF
        name="new world"
        echo hello ${name} > /out
        echo '$name' >> /out
        EOF
    "#;
    assert_eq!(out(text), "hello new world\n$name\n");
}

#[test]
fn a_script_with_an_interpreter_is_run_by_it_and_leaves_nothing() {
    let world = World::of(
        "
        FROM base
        RUN <<EOF
        #!/bin/awk -f
        BEGIN { print \"from awk\" > \"/out\" }
        EOF
    ",
    );
    let image = world.image(&[]);
    assert_eq!(image.file("out"), "from awk\n");
    assert_eq!(image.listing(1), "-0644 0:0 9 out\n");
}

#[test]
fn a_program_reads_a_heredoc() {
    let text = "
        FROM base
        RUN cat <<EOF > /out
        $HOME and more
        EOF
    ";
    assert_eq!(out(text), "/root and more\n");
}

#[test]
fn several_heredocs_have_numbers() {
    let text = "
        FROM base
        RUN <<ONE 3<<TWO cat - /proc/self/fd/3 > /out
        one
        ONE
        two
        TWO
    ";
    assert_eq!(out(text), "one\ntwo\n");
}

#[test]
fn another_shell_gets_the_body() {
    let text = "
        FROM base
        SHELL [\"/bin/awk\"]
        RUN <<EOF
        BEGIN { print \"awk\" > \"/out\" }
        EOF
    ";
    assert_eq!(out(text), "awk\n");
}

#[test]
fn a_copied_heredoc_is_a_file() {
    let world = World::of(
        r#"
        FROM scratch
        ARG X=expanded
        COPY <<one <<"two" /dir/
        $X \$X \\ "q"
        one
        $X \$X
        two
        ADD --chmod=0640 --chown=7:8 <<EOF /file
        x
        EOF
    "#,
    );
    let image = world.image(&[]);
    assert_eq!(image.file("dir/one"), "expanded $X \\ \"q\"\n");
    assert_eq!(image.file("dir/two"), "$X \\$X\n");
    expect![[r"
        d0755 0:0 0 dir/
        -0644 0:0 18 dir/one
        -0644 0:0 7 dir/two
    "]]
    .assert_eq(&image.listing(0));
    assert_eq!(image.item("file").line(), "-0640 7:8 2 file");
}

#[test]
fn tabs_are_stripped_where_that_is_asked_for() {
    let text = "FROM base\nRUN <<-EOF\n\techo a > /out\n\t\techo b >> /out\n\tEOF\n";
    assert_eq!(out(text), "a\nb\n");
}
