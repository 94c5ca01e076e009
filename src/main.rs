//! The program `mcpace`: see the library for what it is made of.

fn main() -> mcpace::cli::Exit {
    mcpace::cli::main()
}
