//! The corpus that everything is measured on compresses as real logs do.

use xtask::corpus::Corpus;

#[test]
fn blocks_of_the_corpus_compress_by_four_to_eight_as_real_logs_do() {
    for seed in [1, 2, 77] {
        let mut bytes = Vec::new();
        Corpus::new(seed).fill(&mut bytes, 8 << 20);
        let packed: usize = bytes.chunks(256 << 10).map(|block| zstd::bulk::compress(block, 1).unwrap().len()).sum();
        let percent = bytes.len() * 100 / packed;
        println!("seed {seed}: {percent} % of the compressed size");
        assert!((400..800).contains(&percent), "seed {seed}: {percent} %");
    }
}
