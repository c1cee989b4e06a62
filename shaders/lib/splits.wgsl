// Positions of k (in padded segments) per split, a multiple of TILE_K, and the number of splits. With more
// than one, out0 holds the partial sums [SPLITS, ...] and the epilogue is applied by split_sum.
override SPLITS: u32 = 1u;
override CHUNK: u32 = 0xffffff00u;
