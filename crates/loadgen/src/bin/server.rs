//! The server of [`minato_loadgen::serve_from_environment`] as a program.

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    minato_loadgen::serve_from_environment().await
}
