# A Homebrew formula. `cargo xtask release --formula` fills in what is in braces.
class Polyllm < Formula
  desc "One OpenAI-compatible API to the models on Together AI and Replicate"
  homepage "https://github.com/{repository}"
  version "{version}"
  license any_of: ["MIT", "Apache-2.0"]

  on_macos do
    on_arm do
      url "https://github.com/{repository}/releases/download/v{version}/polyllm-aarch64-apple-darwin.tar.gz"
      sha256 "{aarch64-apple-darwin}"
    end
    on_intel do
      url "https://github.com/{repository}/releases/download/v{version}/polyllm-x86_64-apple-darwin.tar.gz"
      sha256 "{x86_64-apple-darwin}"
    end
  end

  on_linux do
    on_arm do
      url "https://github.com/{repository}/releases/download/v{version}/polyllm-aarch64-unknown-linux-musl.tar.gz"
      sha256 "{aarch64-unknown-linux-musl}"
    end
    on_intel do
      url "https://github.com/{repository}/releases/download/v{version}/polyllm-x86_64-unknown-linux-musl.tar.gz"
      sha256 "{x86_64-unknown-linux-musl}"
    end
  end

  def install
    bin.install "polyllm"
    generate_completions_from_executable(bin/"polyllm", "completions")
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/polyllm --version")
  end
end
