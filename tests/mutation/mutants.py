"""The bugs that tests/mutation/run.py plants, one at a time, in the CUDA backend.

Each was written from reading the code, before any was run. A table a file: the tests that should
notice (names of test files, without .cpp: the quickest that should), then rows of

    name, operator, what is wrong, the text (which occurs once in the file), what replaces it

Every kernels/*.cu and *.cuh and every host file of the backend has some. Out of reach, because the
emulator stands in for it: kernels/cublas/, core/products.cpp, which calls it, and the half of
kernels/gpu.h that nvcc reads. Left out, because no schedule of the emulator can tell: fences
(__threadfence), and a __syncwarp() beside an operation that makes the lanes wait anyway (ldmatrix,
a shuffle).

QUICK names about a third of them, also chosen before any was run: some of every file, and of every
operator.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    file: str
    tests: str
    name: str  # "adamw.cu:finite"
    operator: str
    bug: str
    old: str
    new: str


QUICK = {
    "adamw.cu": "finite clip decay-vectors copy barrier",
    "attention.cu": "forward",
    "attention_decode.cu": "cache-v past barrier",
    "attention_fma.cu": "half-sum forward-ready shrink diagonal dv",
    "attention_head.cuh": "row lane",
    "attention_short.cu": "second-wait values dscores-barrier dscores-stale dq-scale",
    "attention_tiled.cu": "valid forward-wait-1 values-stage dk-scale",
    "attention_tiled.cuh": "causal-mask lse delta",
    "classifier_loss.cu": "chunk-barrier back-wait padding weight dhead",
    "elements.cuh": "store",
    "embedding.cu": "sort-barrier carried",
    "gather_rows.cu": "bound",
    "gelu.cu": "rest",
    "global_norm.cu": "sum nan",
    "gpu.cu": "grow zero",
    "grid_reduce.cuh": "counter parts",
    "layernorm.cu": "bias",
    "linear.cu": "dweight end",
    "masked_cross_entropy.cu": "loss-warp shrink",
    "mma_tile.cuh": "write quad-max rows-reuse columns store",
    "next_token.cu": "length",
    "pack.cuh": "stride",
    "random_mask.cu": "iid lane",
    "reduce.cuh": "warp-sum reuse",
    "residual_dropout.cu": "stream",
    "residual_dropout.cuh": "first-row",
    "residual_norm.cu": "dresidual parts",
    "reveal_tokens.cu": "due zero above",
    "rmsnorm.cu": "dresidual",
    "rope.cu": "key",
    "row_share.cuh": "sum",
    "sampling.cu": "carry seed bad-row",
    "swiglu.cu": "dup",
    "captured_step.cpp": "first lost",
    "device.cpp": "copy-stream fill-zero",
    "upload.cpp": "wait other",
    "device_sampler.cpp": "step row failed freeze",
    "optimizer.cpp": "start-ema",
    "trainer.cpp": "lr zero-grad first-row arena",
}
MUTANTS = []


def plant(file, tests, *rows):
    for name, operator, bug, old, new in rows:
        full = file.rsplit("/", 1)[1] + ":" + name
        MUTANTS.append(Mutant(file, tests, full, operator, bug, old, new))


plant(
    "kernels/adamw.cu", "optimizer_gpu_test",
    ("finite", "finite flag ignored", "weights move by a gradient that is not finite",
     "  if (args.state->finite == 0) return;\n", ""),
    ("clip", "clip scale ignored", "gradients are not clipped",
     "const float g = rates.clip_scale * grad[i], w = master[i];",
     "const float g = grad[i], w = master[i];"),
    ("decay-vectors", "weight decay on vectors", "all parameters decay",
     "first + i < args.n_decay ?", "first + i < args.n ?"),
    ("decay-pack", "off-by-one bound", "a pack that matrices end in decays as a whole",
     "first + i < args.n_decay ?", "first < args.n_decay ?"),
    ("ema", "EMA not updated", "the EMA stays what it was",
     "    for (int i = 0; i < Width; ++i) ema[i] += rates.ema_share * (master[i] - ema[i]);\n", ""),
    ("copy", "compute copy not written", "copies are written of the last few weights only",
     "if (args.compute != nullptr) {", "if (args.compute != nullptr && Width == 1) {"),
    ("step", "baked step", "moments are corrected as in the first step, always",
     "const double k = state.step + 1.0;", "const double k = 1.0;"),
    ("barrier", "dropped barrier", "the rates are read before thread 0 has written them",
     "if (threadIdx.x == 0) rates[0] = rates_of(args);\n  __syncthreads();\n",
     "if (threadIdx.x == 0) rates[0] = rates_of(args);\n"),
    ("bound", "off-by-one bound", "one weight past the end is updated",
     "} else if (single < args.n) {", "} else if (single <= args.n) {"),
)

plant(
    "kernels/attention.cu", "attention_gpu_test",
    ("forward", "missing length test", "head sizes that no tile takes go to tensor cores",
     "if (attention_tiled_fits(args)) return attention_tiled_forward(on, args);",
     "return attention_tiled_forward(on, args);"),
    ("backward", "missing length test", "likewise in the backward",
     "if (attention_tiled_fits(args)) return attention_tiled_backward(on, args);",
     "return attention_tiled_backward(on, args);"),
)

plant(
    "kernels/attention_decode.cu", "attention_decode_gpu_test",
    ("visible", "off-by-one bound", "a query does not see itself",
     "visible = args.past + t + 1;", "visible = args.past + t;"),
    ("cache-v", "wrong offset of q/k/v", "the cache of values gets keys",
     "args.values[entry + d] = query[2 * width + d];",
     "args.values[entry + d] = query[width + d];"),
    ("fresh-v", "wrong offset of q/k/v", "new values are read where the keys are",
     "first + 2 * width, args.past, width};", "first + width, args.past, width};"),
    ("scale", "missing scale", "scores are not divided by √HS",
     "dot = warp_sum(dot) * scale;", "dot = warp_sum(dot) * (scale > 0 ? 1.0f : scale);"),
    ("past", "off-by-one bound", "the first new entry is read from the cache, too early",
     "return j < past ?", "return j <= past ?"),
    ("capacity", "swapped index", "rows of the cache lie as if it were full",
     "cache = b * args.capacity * width", "cache = b * (args.past + args.T) * width"),
    ("barrier", "dropped barrier", "partial outputs are summed before all are there",
     "  __syncthreads();\n  for (std::int64_t d = threadIdx.x; d < HS; d += kThreads) {\n"
     "    float out",
     "  for (std::int64_t d = threadIdx.x; d < HS; d += kThreads) {\n"
     "    float out"),
)

plant(
    "kernels/attention_fma.cu", "attention_gpu_test",
    ("half-sum", "wrong width in a shuffle", "a row's sum includes the row of the other half-warp",
     "for (int step = kSide / 2; step > 0; step /= 2) value +=",
     "for (int step = kSide; step > 0; step /= 2) value +="),
    ("half-max", "wrong width in a shuffle", "a row's maximum is that of half its lanes",
     "for (int step = kSide / 2; step > 0; step /= 2) {",
     "for (int step = kSide / 4; step > 0; step /= 2) {"),
    ("forward-reuse", "dropped barrier", "a tile is overwritten while others read it",
     "j0 += Sizes::kColumns) {\n    __syncthreads();\n", "j0 += Sizes::kColumns) {\n"),
    ("forward-ready", "dropped barrier", "a tile is read before all of it is there",
     "i0, j0, Sizes::kRows, C);\n    __syncthreads();\n", "i0, j0, Sizes::kRows, C);\n"),
    ("forward-warp", "dropped barrier", "weights are read before the half-warp has written them",
     "    __syncwarp();  // a row of weights is written and read by one half of a warp\n", ""),
    ("visible", "off-by-one bound", "a query sees one key too many",
     "if (j0 + x + kSide * c >= visible)", "if (j0 + x + kSide * c > visible)"),
    ("shrink", "missing scale", "the sum so far keeps the scale of an older maximum",
     "      sum[r] *= shrink;\n", ""),
    ("lse", "missing scale", "lse takes the maximum before scaling",
     "largest[r] * scale + logf(total)", "largest[r] + logf(total)"),
    ("keep-bit", "swapped index", "dropout asks for the bit of the row, not of the column",
     "(keeps[row * C + c] >> x & 1)", "(keeps[row * C + c] >> y & 1)"),
    ("rows", "off-by-one bound", "one row past T is written",
     "if (i >= args.T) continue;", "if (i > args.T) continue;"),
    ("delta-barrier", "dropped barrier", "delta is summed before dout is in shared memory",
     "    __syncthreads();\n    find_stats<Width>", "    find_stats<Width>"),
    ("dkv-begin", "off-by-one bound", "keys miss the first tile of queries that see them",
     "begin = KeyRows && args.causal ? row0 : 0;",
     "begin = KeyRows && args.causal ? row0 + Sizes::kColumns : 0;"),
    ("diagonal", "off-by-one bound", "the backward does not see the diagonal",
     "j0 + key <= i0 + query);", "j0 + key < i0 + query);"),
    ("stats", "swapped index", "every tile of queries has the first one's lse and delta",
     "= stats[i0 + threadIdx.x];", "= stats[threadIdx.x];"),
    ("dropped", "missing mask", "the gradient of a dropped weight is not 0",
     "(keep ? dweights[r][c] * kept : 0.0f)", "dweights[r][c] * kept"),
    ("delta", "missing accumulate", "the backward leaves out − Σ P dP",
     " - of.delta);", ");"),
    ("dk-scale", "missing scale", "dq and dk are not divided by √HS",
     "dscore_rows[r], scale, attends, HS);", "dscore_rows[r], 1.0f, attends, HS);"),
    ("dv", "wrong offset of q/k/v", "dv goes to dq",
     "write_row(gradient + at.v,", "write_row(gradient + at.q,"),
)

plant(
    "kernels/attention_head.cuh", "attention_gpu_test",
    ("v", "wrong offset of q/k/v", "keys serve as values",
     "at.v = at.k + width;", "at.v = at.k;"),
    ("lse", "swapped index", "the heads of a sequence share one lse",
     "at.lse = task * args.T;", "at.lse = b * args.T;"),
    ("length", "swapped index", "every sequence has the first one's length",
     "args.lengths[b]", "args.lengths[0]"),
    ("heads", "wrong Philox counter", "draws of neighbouring heads overlap",
     "head * T * T,", "head * T,"),
    ("row", "wrong Philox counter", "micro-batches draw the same dropout",
     "args.state->first_row + b,", "b,"),
    ("lane", "wrong lane", "draws start at a multiple of four keys",
     "static_cast<std::uint16_t>(bits >> skipped)",
     "static_cast<std::uint16_t>(bits >> skipped / 4)"),
)

plant(
    "kernels/attention_short.cu", "attention_gpu_test",
    ("first-wait", "missing wait", "the first tile of keys is read before it has come",
     "wait_copies<1>();\n      __syncthreads();", "__syncthreads();"),
    ("second-wait", "missing wait", "the wait leaves the copies that are needed",
     "wait_copies<0>();\n      __syncthreads();\n    }",
     "wait_copies<1>();\n      __syncthreads();\n    }"),
    ("second-barrier", "dropped barrier", "a warp reads what others' copies have not brought",
     "wait_copies<0>();\n      __syncthreads();\n    }", "wait_copies<0>();\n    }"),
    ("last-wait", "missing wait", "a short sequence ends with copies under way",
     "  wait_copies<0>();  // of keys that there was no need to wait for\n", ""),
    ("valid", "off-by-one bound", "the row at the length is read",
     "row < length);", "row <= length);"),
    ("values", "wrong offset of q/k/v", "from the second tile on keys serve as values",
     "copy_rows(values, args.qkv + at.v, at.qkv_stride, kForwardKeys, key_rows",
     "copy_rows(values, args.qkv + at.k, at.qkv_stride, kForwardKeys, key_rows"),
    ("backward-wait", "missing wait", "the backward reads rows before they have come",
     "  commit_copies();\n  wait_copies<0>();\n", "  commit_copies();\n"),
    ("stats-barrier", "dropped barrier", "lse and delta are read before all are there",
     "    stats[i] = of;\n  }\n  __syncthreads();\n", "    stats[i] = of;\n  }\n"),
    ("delta", "missing accumulate", "delta is the last element's product",
     "of.delta += out[e] * dout[e];", "of.delta = out[e] * dout[e];"),
    ("skip", "off-by-one bound", "keys miss the queries of the diagonal",
     "(args.causal && j0 >= i0 + kQueries)", "(args.causal && j0 >= i0)"),
    ("whole", "missing mask", "a tile that the diagonal cuts is not masked in the backward",
     "j0 + kWarpRows - 1 > i0);", "j0 > i0);"),
    ("dscores-barrier", "dropped barrier", "dq is summed before all gradients of scores are there",
     "    __syncthreads();  // all gradients of these queries' scores are there\n", ""),
    ("dscores-reuse", "dropped barrier", "gradients of scores are overwritten while dq is summed",
     "    __syncthreads();  // nobody reads these gradients of scores any more\n", ""),
    ("dscores-stale", "off-by-one bound", "dq takes what earlier queries left beyond the diagonal",
     "\n                      : args.causal   ? std::min(i0 + kWarpRows, at.length)\n",
     "\n                      : args.causal   ? at.length\n"),
    ("dscores-column", "swapped index", "all queries leave their gradients where the first do",
     "dweights, 1.0f, i0 - tile0);", "dweights, 1.0f, 0 * i0);"),
    ("dq-scale", "missing scale", "dq is not divided by √HS", "dq, scale, i0,", "dq, 1.0f, i0,"),
    ("dv", "wrong offset of q/k/v", "dv goes to dk, which overwrites it",
     "args.dqkv + at.v,", "args.dqkv + at.k,"),
)

TILE_IS_HERE = (
    "wait_copies<0>();\n"
    "    __syncthreads();  // this tile is here, and nobody reads the one before it any more\n"
)
COLUMNS_ARE_HERE = (
    "wait_copies<0>();\n"
    "      __syncthreads();  // this tile is here, and nobody reads the one before it any more\n"
)
plant(
    "kernels/attention_tiled.cu", "attention_gpu_test",
    ("valid", "off-by-one bound", "the row at the length is read",
     "first + row < end);", "first + row <= end);"),
    ("forward-wait", "missing wait", "a tile of keys is read before it has come",
     TILE_IS_HERE + "    if (j0",
     "__syncthreads();\n    if (j0"),
    ("forward-wait-1", "missing wait", "the wait leaves the group that is needed",
     TILE_IS_HERE + "    if (j0",
     "wait_copies<1>();\n    __syncthreads();\n    if (j0"),
    ("forward-barrier", "dropped barrier", "a warp reads what other warps' copies have not brought",
     TILE_IS_HERE + "    if (j0",
     "wait_copies<0>();\n    if (j0"),
    ("last-wait", "missing wait", "a block without keys ends with copies under way",
     "  wait_copies<0>();  // where there was no key to walk over\n", ""),
    ("values-stage", "reused staging buffer", "values are always those of the first buffer",
     "values + j0 / kKeys % 2 * kTileElements", "values"),
    ("backward-wait", "missing wait", "a tile of columns is read before it has come",
     COLUMNS_ARE_HERE, "__syncthreads();\n"),
    ("backward-barrier", "dropped barrier", "a warp reads what others' copies have not brought",
     COLUMNS_ARE_HERE, "wait_copies<0>();\n"),
    ("stats-stage", "reused staging buffer", "lse and delta are always the first buffer's",
     "KeyRows ? column_stats[column + n]", "KeyRows ? column_stats[column % kColumns + n]"),
    ("stats", "swapped index", "every tile of queries has the first one's lse and delta",
     "stats + column0 + first);", "stats + first);"),
    ("whole", "missing mask", "a tile that the diagonal cuts is not masked in the backward",
     "j0 + kChunks * kKeepKeys - 1 <= i0)", "j0 <= i0)"),
    ("dk-scale", "missing scale", "dq and dk are not divided by √HS",
     "score_rows, dscore_rows,\n                   scale,",
     "score_rows, dscore_rows,\n                   1.0f,"),
    ("dv-kept", "missing scale", "dv lacks dropout's 1/(1 − p)",
     "value_rows, dvalue_rows, kept,", "value_rows, dvalue_rows, 1.0f,"),
)

plant(
    "kernels/attention_tiled.cuh", "attention_gpu_test",
    ("causal-mask", "missing mask", "a tile that the diagonal cuts is not masked",
     "!(causal && j0 + 8 * N - 1 > i0)", "!(causal && j0 > i0)"),
    ("end-mask", "off-by-one bound", "a tile that lacks one key is not masked",
     "if (j0 + 8 * N <= end &&", "if (j0 + 8 * N <= end + 1 &&"),
    ("shrink", "missing scale", "the sum so far keeps the scale of an older maximum",
     "float total = sum[set][half] * shrink;", "float total = sum[set][half];"),
    ("lse", "missing scale", "lse stays in powers of 2",
     "largest[set][half] * scale * kLn2", "largest[set][half] * scale"),
    ("keep-bit", "wrong lane", "dropout's bit ignores the half of 16 keys",
     ">> key % kKeepKeys & 1)", ">> key % 8 & 1)"),
    ("delta", "missing accumulate", "the backward leaves out − Σ P dP",
     " : 0.0f) - of.delta);", " : 0.0f));"),
    ("dropped", "missing mask", "the gradient of a dropped weight is not 0",
     "(stays ? dweights[set][n][e] * kept : 0.0f)", "dweights[set][n][e] * kept"),
)

plant(
    "kernels/classifier_loss.cu", "classifier_loss_gpu_test",
    ("chunk-wait", "missing wait", "a chunk is read before it has come",
     "wait_copies<0>();\n      __syncthreads();  // this chunk", "__syncthreads();  // this chunk"),
    ("chunk-barrier", "dropped barrier", "a warp reads what others' copies have not brought",
     "      __syncthreads();  // this chunk is here, and nobody reads the one before it any more\n",
     ""),
    ("back-wait", "missing wait", "a chunk of head is read before it has come again",
     "wait_copies<0>();\n        __syncthreads();  // as above",
     "__syncthreads();  // as above"),
    ("back-barrier", "dropped barrier", "a chunk of head is overwritten while others read it",
     "        __syncthreads();  // as above, with the one after it\n", ""),
    ("reload", "reused staging buffer", "the way back begins with a chunk that is gone",
     "if (chunk > 0 && chunk + 1 < chunks) {", "if (chunk > 0 && chunk + 2 < chunks) {"),
    ("padding", "off-by-one bound", "the entry at V takes part",
     "if (v < args.V && (args.excluded", "if (v <= args.V && (args.excluded"),
    ("excluded", "missing mask", "excluded entries take part",
     "|| args.excluded[v] == 0)) continue;", "|| args.excluded[v] != 2)) continue;"),
    ("tie", "swapped index", "of equal logits the highest id wins",
     "entry(n, e) < target) beaten", "entry(n, e) > target) beaten"),
    ("beaten", "wrong lane", "a lane knows only of its own entries that beat the target",
     "    beaten = quad_max(beaten);\n", ""),
    ("weight", "missing scale", "the target's gradient lacks the row's weight",
     "(entry(n, e) == target ? weight : 0.0f)", "(entry(n, e) == target ? 1.0f : 0.0f)"),
    ("rows", "off-by-one bound", "a row past the last is written to dlogits",
     "if (row >= args.N) continue;", "if (row > args.N) continue;"),
    ("zeros", "missing mask", "dlogits of a block without weight are not written",
     "  clear(args.dlogits, classifier_loss_room(args.V));\n", ""),
    ("loss", "write instead of accumulate", "the loss of earlier micro-batches is lost",
     "*args.loss += loss;", "*args.loss = loss;"),
    ("dhead", "write instead of accumulate", "dhead loses what it held",
     ".accumulate = true,", ".accumulate = false,"),
)

plant(
    "kernels/elements.cuh", "norms_gpu_test elementwise_gpu_test",
    ("add", "missing accumulate", "a sum keeps its last term only",
     "sum[i] += elements[i];", "sum[i] = elements[i];"),
    ("store", "swapped index", "the second pack of f32 repeats the first",
     "pack[j] = elements[i + j];", "pack[j] = elements[j];"),
)

plant(
    "kernels/embedding.cu", "embedding_gpu_test",
    ("position", "swapped index", "positions begin at 0 always",
     "args.first_position + n % args.T;", "n % args.T;"),
    ("sort-barrier", "dropped barrier", "counts of other warps are read before they are there",
     "    equal[warp] = equal_here;\n  }\n  __syncthreads();\n",
     "    equal[warp] = equal_here;\n  }\n"),
    ("sort-warp", "off-by-one bound", "a warp leaves room for its own rows before them",
     "(other < warp ? equal[other] : 0)", "(other <= warp ? equal[other] : 0)"),
    ("sort-lane", "wrong lane", "a lane counts itself among the lanes before it",
     "__popc(votes & ((1u << lane) - 1))", "__popc(votes & ((2u << lane) - 1))"),
    ("sort-next", "missing accumulate", "the next 32 rows overwrite the last",
     "    to += __popc(votes);\n", ""),
    ("digits", "off-by-one bound", "the highest digit of a token is not sorted by",
     "last >> shift > 0;", "last >> shift > 1;"),
    ("add", "write instead of accumulate", "dwte and dwpe lose what they held",
     "static_cast<float>(total[i] + sum[i]);", "static_cast<float>(sum[i]);"),
    ("carried", "forgotten reset", "sums that begin in a chunk count as carried into it",
     "        carried = false;\n", ""),
    ("sum", "forgotten reset", "a row's gradient takes the row's before it too",
     "        for (int i = 0; i < Width; ++i) sum[i] = 0;\n", ""),
    ("slices", "dropped barrier", "slices are added before they are there",
     "parts[slice][lane][j] = sum[j];\n  __syncthreads();\n", "parts[slice][lane][j] = sum[j];\n"),
    ("middle", "missing mask", "a sum over three chunks is completed from the second too",
     "  if (tables.continues(which, chunk) && tables.entry(which, chunk * kChunk).place == place) "
     "return;\n", ""),
)

plant(
    "kernels/gather_rows.cu", "elementwise_gpu_test",
    ("row", "swapped index", "rows come in order, whatever was asked for",
     "args.rows[k] * args.C + c", "k * args.C + c"),
    ("bound", "off-by-one bound", "one thread past the end reads and writes",
     "if (first >= args.K * args.C) return;", "if (first > args.K * args.C) return;"),
)

plant(
    "kernels/gelu.cu", "elementwise_gpu_test",
    ("rest", "off-by-one bound", "the last element of a rest is not written",
     "i < args.n; ++i) {\n    args.out[i]", "i + 1 < args.n; ++i) {\n    args.out[i]"),
    ("slope", "missing scale", "the slope's cubic term lacks its 3",
     "3.0f * kCubic", "kCubic"),
)

plant(
    "kernels/global_norm.cu", "optimizer_gpu_test",
    ("rest", "off-by-one bound", "the first element after the packs is left out",
     "i = packs * kPack<float> + first;", "i = packs * kPack<float> + first + 1;"),
    ("sum", "missing accumulate", "a pack counts by its last element",
     "++j) sum += double{grad[j]}", "++j) sum = double{grad[j]}"),
    ("clip", "missing mask", "a short gradient is stretched to the clip",
     "args.clip > 0 && norm > args.clip ?", "args.clip > 0 ?"),
    ("nan", "finite flag ignored", "NaN counts as finite",
     "norm <= std::numeric_limits<double>::max() ? 1 : 0",
     "norm > std::numeric_limits<double>::max() ? 0 : 1"),
)

plant(
    "kernels/gpu.cu", "optimizer_gpu_test norms_gpu_test",
    ("grow", "off-by-one bound", "scratch of half the size will do",
     "if (bytes > scratch.bytes) {", "if (bytes > 2 * scratch.bytes) {"),
    ("zero", "forgotten reset", "counters start as they were allocated",
     "    GPU_CHECK(cudaMemsetAsync(scratch.counters, 0, bytes, stream));\n", ""),
)
plant(
    "kernels/gpu.cu", "trainer_gpu_test",
    ("free", "reused staging buffer", "scratch that a recorded step holds is freed",
     "    scratch.memory = allocate(stream, grown);\n",
     "    cudaFree(scratch.memory);\n    scratch.memory = allocate(stream, grown);\n"),
    ("stream", "wrong stream", "two streams share their scratch",
     "return all[stream];", "return all[stream == nullptr ? stream : nullptr];"),
)

plant(
    "kernels/grid_reduce.cuh", "masked_cross_entropy_gpu_test optimizer_gpu_test sampling_gpu_test",
    ("counter", "forgotten reset", "the count of blocks goes on in the next launch",
     "  if (threadIdx.x == 0) *counter = 0;\n", ""),
    ("last-barrier", "dropped barrier", "who is last is read before thread 0 knows",
     "  __syncthreads();\n  if (!is_last[0]) return false;\n",
     "  if (!is_last[0]) return false;\n"),
    ("last", "off-by-one bound", "no block is ever the last",
     "== gridDim.x - 1;", "== gridDim.x;"),
    ("parts", "missing accumulate", "of a thread's parts the last one counts",
     "sum += parts[block];", "sum = parts[block];"),
    ("max-reuse", "dropped barrier", "a maximum overwrites parts that others still read",
     "    __syncthreads();  // parts may still be read by an earlier call\n", ""),
    ("max-ready", "dropped barrier", "the maximum is taken before all warps have theirs",
     "= value;\n    __syncthreads();\n    for (int warp", "= value;\n    for (int warp"),
)

plant(
    "kernels/layernorm.cu", "norms_gpu_test",
    ("bias", "missing accumulate", "a norm alone forgets its bias",
     "  residual_layernorm_forward(on, ResidualDropoutForward<Real>{}, args);\n",
     "  LayernormForward<Real> own = args;\n  own.bias = nullptr;\n"
     "  residual_layernorm_forward(on, ResidualDropoutForward<Real>{}, own);\n"),
)

plant(
    "kernels/linear.cu", "classifier_loss_gpu_test",
    ("dweight", "write instead of accumulate", "dweight loses what it held",
     ".accumulate = true,", ".accumulate = false,"),
)
plant(
    "kernels/linear.cu", "op_cases_gpu_test",
    ("dbias", "write instead of accumulate", "dbias loses what it held",
     "dbias[o] += sum;", "dbias[o] = sum;"),
    ("barrier", "dropped barrier", "sums of other warps are read before they are there",
     "[threadIdx.x] = sum;\n  __syncthreads();\n", "[threadIdx.x] = sum;\n"),
    ("chunks", "missing accumulate", "the last chunk of rows counts alone",
     "++chunk) sum += partial", "++chunk) sum = partial"),
    ("end", "off-by-one bound", "the last row of a chunk is left out",
     "n < end; n += kRowGroups)", "n < end - 1; n += kRowGroups)"),
)

plant(
    "kernels/masked_cross_entropy.cu", "masked_cross_entropy_gpu_test",
    ("loss-warp", "write instead of accumulate", "the loss of earlier micro-batches is lost",
     "if (!sum_over_grid<kRowsThreads>(loss, parts, counter)) return;\n"
     "  if (threadIdx.x == 0) *args.loss += loss;",
     "if (!sum_over_grid<kRowsThreads>(loss, parts, counter)) return;\n"
     "  if (threadIdx.x == 0) *args.loss = loss;"),
    ("loss-block", "write instead of accumulate", "likewise for a large vocabulary",
     "if (!sum_over_grid<Threads>(loss, parts, counter)) return;\n"
     "  if (threadIdx.x == 0) *args.loss += loss;",
     "if (!sum_over_grid<Threads>(loss, parts, counter)) return;\n"
     "  if (threadIdx.x == 0) *args.loss = loss;"),
    ("zeros", "missing mask", "the gradient of a row that weighs nothing is not written",
     "    if (args.dlogits != nullptr) share.store(0, values);\n", ""),
    ("excluded-packed", "missing mask", "excluded entries take part, in packs",
     "inside && (out >> 8 * i & 0xffu) == 0;", "inside && (out >> 8 * i & 0xffu) != 2;"),
    ("excluded", "missing mask", "excluded entries take part but for the first, one by one",
     "logits[slot] = out ? kLowest : logit;", "logits[slot] = out && v == 0 ? kLowest : logit;"),
    ("tie", "swapped index", "of equal logits the highest id wins",
     "share.entry(slot) < target;", "share.entry(slot) > target;"),
    ("any", "wrong lane", "only lane 0's entries can beat the target",
     "  beaten = __any_sync(kAllLanes, beaten) != 0;\n", ""),
    ("shrink", "missing scale", "the sum so far keeps the scale of an older maximum",
     "      sum *= __expf(max - above);\n", ""),
    ("own-max", "missing scale", "sums of threads are added on scales of their own",
     "block_sum<Threads>(own_max == max ? sum : sum * __expf(own_max - max));",
     "block_sum<Threads>(sum);"),
    ("losses", "dropped barrier", "losses of other warps are read before they are there",
     "losses[warp] = row_loss;\n  __syncthreads();\n", "losses[warp] = row_loss;\n"),
    ("rows", "off-by-one bound", "a row past the last counts",
     "if (n < args.N) {", "if (n <= args.N) {"),
)

plant(
    "kernels/mma_tile.cuh", "attention_gpu_test",
    ("write", "accumulate instead of write", "products add to what the registers held",
     "for (float& sum : sums[set][n]) sum = 0;", "static_cast<void>(sums[set][n]);"),
    ("quad-sum", "wrong lane", "a row's sum takes a lane of another row",
     "return value + __shfl_xor_sync(kAllLanes, value, 2);",
     "return value + __shfl_xor_sync(kAllLanes, value, 4);"),
    ("quad-max", "wrong width in a shuffle", "a row's maximum is that of two of its four lanes",
     "return fmaxf(value, __shfl_xor_sync(kAllLanes, value, 2));", "return value;"),
    ("rows-barrier", "dropped barrier", "rows are sent before all lanes have laid them out",
     "  __syncwarp();\n  for (int n = lane;", "  for (int n = lane;"),
    ("rows-reuse", "dropped barrier", "rows are overwritten before all lanes have sent the last",
     "  __syncwarp();\n  store_tile", "  store_tile"),
    ("rows-bound", "off-by-one bound", "the row at T is written",
     "if (first + row >= T) break;", "if (first + row > T) break;"),
    ("padding", "missing length test", "rows past the length are not zeros",
     "first + row < length ? words : uint4{});", "length >= 0 ? words : uint4{});"),
    ("fragment", "wrong lane", "a fragment of weights holds columns twice",
     "a[set][1] = pack_rounded(left[2], left[3]);", "a[set][1] = pack_rounded(left[0], left[1]);"),
    ("columns", "swapped index", "halves of columns change places in a product",
     "{{both[0], both[2]}, {both[1], both[3]}}", "{{both[0], both[1]}, {both[2], both[3]}}"),
)
plant(
    "kernels/mma_tile.cuh", "classifier_loss_gpu_test",
    ("store", "swapped index", "the lower rows of a tile lie four rows too high",
     "store_as(to + 8 * Tile::kStride,", "store_as(to + 4 * Tile::kStride,"),
)

plant(
    "kernels/next_token.cu", "elementwise_gpu_test",
    ("first", "swapped index", "only the first sequence begins with [START]",
     "args.inputs[n] = t == 0 ?", "args.inputs[n] = n == 0 ?"),
    ("target", "swapped index", "targets ignore that a row has T + 1 tokens",
     "args.tokens[n + b + 1];", "args.tokens[n + 1];"),
    ("length", "off-by-one bound", "the position at the length weighs",
     "t < args.lengths[b];", "t <= args.lengths[b];"),
)

plant(
    "kernels/pack.cuh", "elementwise_gpu_test norms_gpu_test",
    ("aligned", "missing mask", "addresses that no pack starts at are read in packs",
     "&& (aligned(pointers) && ...);", "&& ((aligned(pointers) || true) && ...);"),
    ("stride", "missing mask", "rows that packs do not fit are read in packs",
     "return stride % kPack<Real> == 0 && (", "return stride >= 0 && ("),
)

plant(
    "kernels/random_mask.cu", "random_mask_gpu_test",
    ("iid", "wrong Philox counter", "stratified rows draw a U each",
     "args.sampling == TSampling::iid ? row : 0;", "args.sampling == TSampling::batch ? 0 : row;"),
    ("first-row", "wrong Philox counter", "micro-batches draw the same masks",
     "state.first_row + static_cast<std::uint32_t>(b);", "static_cast<std::uint32_t>(b);"),
    ("stream", "wrong stream", "masks are drawn from the words of the ratios",
     "stream_of(Purpose::mask)});", "stream_of(Purpose::mask_ratio)});"),
    ("step", "baked step", "every step draws the first one's masks",
     "draw.row, state.step,", "draw.row, 0u,"),
    ("seed", "baked seed", "ratios do not depend on the seed",
     "philox_word(state.seed, stream_of(Purpose::mask_ratio)",
     "philox_word(1, stream_of(Purpose::mask_ratio)"),
    ("lane", "wrong lane", "four positions share a word",
     "words[i] < mask_below", "words[0] < mask_below"),
    ("length", "missing length test", "the position at the length is masked too",
     "t < length &&", "t <= length &&"),
)

plant(
    "kernels/reduce.cuh", "norms_gpu_test optimizer_gpu_test",
    ("warp-sum", "wrong width in a shuffle", "a warp's sum is that of half its lanes",
     "for (int step = 16; step > 0; step /= 2) value +=",
     "for (int step = 8; step > 0; step /= 2) value +="),
    ("reuse", "dropped barrier", "a sum overwrites parts that others still read",
     "    __syncthreads();  // parts may still be read by an earlier call\n", ""),
    ("ready", "dropped barrier", "parts of other warps are read before they are there",
     "= value;\n    __syncthreads();\n", "= value;\n"),
)

plant(
    "kernels/residual_dropout.cu", "norms_gpu_test",
    ("row", "wrong Philox counter", "all rows draw from the first one's counters",
     "DropoutDraw(plan, first).apply(0, sum.values);",
     "DropoutDraw(plan, 0).apply(first, sum.values);"),
    ("stream", "wrong stream", "the backward draws another mask",
     ".stream = args.stream,", ".stream = args.stream + 1,"),
    ("bound", "off-by-one bound", "one thread past the end reads and writes",
     "if (first >= args.B * args.E) return;", "if (first > args.B * args.E) return;"),
)

plant(
    "kernels/residual_dropout.cuh", "norms_gpu_test",
    ("scale", "missing scale", "what is kept is not divided by 1 − p",
     "value * plan_.scale", "value"),
    ("first-row", "wrong Philox counter", "micro-batches draw the same dropout",
     "plan.state->first_row + static_cast<std::uint32_t>(b);", "static_cast<std::uint32_t>(b);"),
    ("counter", "wrong Philox counter", "the second half of eight elements repeats the first's",
     "static_cast<std::uint32_t>((e + i) / 4);", "static_cast<std::uint32_t>(e / 4);"),
    ("step", "baked step", "every step draws the first one's dropout",
     "step_ = plan.state->step;", "step_ = 0;"),
)

plant(
    "kernels/residual_norm.cu", "norms_gpu_test",
    ("dropout", "missing mask", "the fused forward drops nothing",
     "      dropout.apply(c, stream.values);\n", ""),
    ("sum", "missing accumulate", "dx of a layernorm lacks the mean of the gradient",
     "dout[i] * weight[i] - sum - (x[i]", "dout[i] * weight[i] - (x[i]"),
    ("dresidual", "missing accumulate", "the residual's gradient is not added",
     "      add_elements(gradient, dresidual);\n", ""),
    ("dbranch", "missing mask", "the fused backward drops nothing",
     "      dropout.apply(c, gradient.values);\n", ""),
    ("zero-barrier", "dropped barrier", "sums begin before other threads have zeroed them",
     "part[c] = 0; });\n    __syncthreads();\n", "part[c] = 0; });\n"),
    ("hand-barrier", "dropped barrier", "sums are handed on before they are there",
     "      if (row > 0) __syncthreads();\n", ""),
    ("hand", "missing accumulate", "the last row of a block counts alone",
     "          if (row > 0) add_elements(total, load_elements<kWidth>(shared + at));\n", ""),
    ("parts-barrier", "dropped barrier", "shares of other lanes are read before they are there",
     "shares[lane][column] = sum;\n  __syncthreads();\n", "shares[lane][column] = sum;\n"),
    ("dweight", "write instead of accumulate", "dweight and dbias lose what they held",
     "gradient[at < C ? at : at - C] += sum;", "gradient[at < C ? at : at - C] = sum;"),
    ("parts", "off-by-one bound", "the last block's part is left out",
     "part < count; part += lanes)", "part + 1 < count; part += lanes)"),
)

plant(
    "kernels/reveal_tokens.cu", "reveal_tokens_gpu_test",
    ("masked", "missing mask", "tokens that are not masked are wanted",
     "args.ids[i] == args.mask_token && its_turn ?", "its_turn ?"),
    ("due", "baked step", "only what is due in step 0 has its turn",
     "args.due[i] == *args.step;", "args.due[i] == 0;"),
    ("bound", "off-by-one bound", "one thread past the end reads and writes",
     "if (i >= args.n * args.T) return;", "if (i > args.n * args.T) return;"),
    ("negative", "swapped index", "negative numbers are greater than positive ones",
     "!= 0 ? ~bits :", "!= 0 ? bits :"),
    ("zero", "missing mask", "−0 is less than 0",
     "std::bit_cast<std::uint64_t>(value + 0.0);", "std::bit_cast<std::uint64_t>(value);"),
    ("cut", "off-by-one bound", "the cut is one key too low",
     "if (found >= count) {", "if (found > count) {"),
    ("above", "missing accumulate", "equals at the cut forget the greater keys",
     "count - cut.above, 1,", "count, 1,"),
    ("tie", "swapped index", "of equals the last are revealed",
     "static_cast<std::uint64_t>(T - t) : 0;", "static_cast<std::uint64_t>(t + 1) : 0;"),
)

plant(
    "kernels/rmsnorm.cu", "norms_gpu_test",
    ("dresidual", "missing accumulate", "a norm alone forgets the residual's gradient",
     "  residual_rmsnorm_backward(on, args, ResidualDropoutBackward<Real>{});\n",
     "  RmsnormBackward<Real> own = args;\n  own.dresidual = nullptr;\n"
     "  residual_rmsnorm_backward(on, own, ResidualDropoutBackward<Real>{});\n"),
)

plant(
    "kernels/rope.cu", "elementwise_gpu_test",
    ("position", "swapped index", "positions begin at 0 always",
     "args.first_position + n % args.T, pair", "n % args.T, pair"),
    ("key", "wrong offset of q/k/v", "values turn instead of keys",
     "(n * 3 + key) * args.NH", "(n * 3 + 2 * key) * args.NH"),
    ("inverse", "missing scale", "the backward turns forwards",
     "sine = direction * turn.sine[i];", "sine = std::fabs(direction) * turn.sine[i];"),
    ("ratio", "missing scale", "pairs of a pack turn alike",
     "    turns *= frequencies.ratio;\n", ""),
)

plant(
    "kernels/row_share.cuh", "norms_gpu_test",
    ("bound", "off-by-one bound", "a pack past the row's end is visited",
     "if (c < C) visit(piece, c);", "if (c <= C) visit(piece, c);"),
    ("sum", "wrong width in a shuffle", "a row of a block is summed over one warp",
     "return block_sum<Threads>(value);", "return warp_sum(value);"),
    ("fits", "off-by-one bound", "rows of 512 go to warps that hold 256",
     "} else if (C <= 8 * kWarp) {", "} else if (C <= 16 * kWarp) {"),
)

plant(
    "kernels/sampling.cu", "sampling_gpu_test",
    ("excluded", "missing mask", "excluded entries can be drawn",
     "    if (excluded != nullptr && excluded[v] != 0) return 0;\n", ""),
    ("tie", "swapped index", "of equal logits the highest id comes first",
     "static_cast<std::uint64_t>(V - 1 - v);", "static_cast<std::uint64_t>(v);"),
    ("running", "wrong lane", "a running sum counts the first lanes twice",
     "    if (lane >= step) value += before;\n",
     "    if (lane >= 0) value += before;\n"),
    ("carry", "wrong lane", "the next 32 entries begin from lane 0's sum",
     "before = __shfl_sync(kAllLanes, sum, 31);", "before = __shfl_sync(kAllLanes, sum, 0);"),
    ("row", "wrong Philox counter", "a row's draw depends on its place in the call",
     "draw, args.draw_rows[k], 0);", "draw, static_cast<std::uint32_t>(k), 0);"),
    ("draw-at", "baked step", "the draw in device memory is not looked at",
     "args.draw_at != nullptr ? *args.draw_at : args.draw;", "args.draw;"),
    ("seed", "baked seed", "draws do not depend on the seed",
     "philox_word(args.seed, args.stream,", "philox_word(1, args.stream,"),
    ("above", "missing accumulate", "a cut forgets the mass above it",
     "      above = sum;\n", ""),
    ("top-p", "missing scale", "top-p is a mass, not a share",
     "top + 1, args.top_p * total, mass);", "top + 1, total > 0 ? args.top_p : 0.0, mass);"),
    ("parts", "dropped barrier", "sums of other warps are read before they are there",
     "parts[warp] = part;\n  __syncthreads();\n", "parts[warp] = part;\n"),
    ("bad-row", "write instead of accumulate", "not the first row without a distribution is told",
     "atomicMin(args.bad_row, static_cast<std::int32_t>(k));",
     "*args.bad_row = static_cast<std::int32_t>(k);"),
)

plant(
    "kernels/swiglu.cu", "elementwise_gpu_test",
    ("gate", "swapped index", "gates are read as if a row had F columns",
     "args.gate_up + first + first / F * F;", "args.gate_up + first;"),
    ("dup", "swapped index", "dup goes to the gate as well",
     "store_elements(args.dgate_up + first_gate, dgate);",
     "store_elements(args.dgate_up + first_gate, dup);"),
    ("bound", "off-by-one bound", "one thread past the end reads and writes",
     "if (first >= args.N * F) return;\n  const Real* gates",
     "if (first > args.N * F) return;\n  const Real* gates"),
)

plant(
    "core/captured_step.cpp", "device_sampler_gpu_test",
    ("first", "freeze/reset order", "the first step is recorded, before its memory is found",
     "if (!enabled_ || !on_gpu(device_) || !ran_) {", "if (!enabled_ || !on_gpu(device_)) {"),
    ("lost", "freeze/reset order", "the step that is recorded does not run",
     "  if (graph_ == nullptr) record(work);\n  GPU_CHECK",
     "  if (graph_ == nullptr) {\n    record(work);\n    return;\n  }\n  GPU_CHECK"),
    ("twice", "freeze/reset order", "the step that is recorded runs twice",
     "  if (graph_ == nullptr) record(work);\n  GPU_CHECK",
     "  if (graph_ == nullptr) {\n    record(work);\n    work();\n  }\n  GPU_CHECK"),
)
plant(
    "core/captured_step.cpp", "trainer_gpu_test",
    ("never", "freeze/reset order", "nothing is ever recorded",
     "    ran_ = true;\n", ""),
)

plant(
    "core/device.cpp", "device_sampler_gpu_test",
    ("copy-stream", "wrong stream", "copies run on a stream of their own, which nothing orders",
     "void copy(On<Cuda, Real> on, void* to, const void* from, std::size_t bytes) {\n"
     "  GPU_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, on.stream));\n",
     "void copy(On<Cuda, Real>, void* to, const void* from, std::size_t bytes) {\n"
     "  static cudaStream_t own = [] {\n    cudaStream_t made = nullptr;\n"
     "    GPU_CHECK(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking));\n"
     "    return made;\n  }();\n"
     "  GPU_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, own));\n"),
)
plant(
    "core/device.cpp", "trainer_gpu_test",
    ("zeroed", "forgotten reset", "memory is not zeroed",
     "        zero(on, data_, bytes);\n", ""),
    ("fill-zero", "off-by-one bound", "half of the gradients keep the last step's",
     "std::visit([&](auto on) { zero(on, memory, bytes); }, device);",
     "std::visit([&](auto on) { zero(on, memory, bytes / 2); }, device);"),
)

plant(
    "core/upload.cpp", "trainer_gpu_test",
    ("wait", "missing wait", "a buffer is filled while it travels",
     "  GPU_CHECK(cudaEventSynchronize(sent));\n", "  static_cast<void>(sent);\n"),
    ("mark", "missing wait", "nothing says when a buffer has arrived",
     "  std::visit([&](auto on) { mark(on, slots_[next_].sent); }, device_);\n", ""),
    ("early", "missing wait", "a buffer counts as arrived before it is sent",
     "  copy_on_device(device_, to, slots_[next_].bytes, size_);\n"
     "  std::visit([&](auto on) { mark(on, slots_[next_].sent); }, device_);\n",
     "  std::visit([&](auto on) { mark(on, slots_[next_].sent); }, device_);\n"
     "  copy_on_device(device_, to, slots_[next_].bytes, size_);\n"),
    ("size", "off-by-one bound", "the last length is not sent",
     "slots_[next_].bytes, size_);", "slots_[next_].bytes, size_ - sizeof(int));"),
    ("other", "reused staging buffer", "what is sent is the buffer of the time before",
     "copy_on_device(device_, to, slots_[next_].bytes,",
     "copy_on_device(device_, to, slots_[1 - next_].bytes,"),
)

plant(
    "models/device_sampler.cpp", "device_sampler_gpu_test",
    ("step", "baked step", "every step reads the first one's row of the schedule",
     "schedule_ + done_ * (1 + n_),", "schedule_,"),
    ("row", "off-by-one bound", "the last sequence's count is not sent",
     "                   at(1 + n_) * sizeof", "                   at(n_) * sizeof"),
    ("counts", "swapped index", "the step serves as the first sequence's count",
     "counts = now_ + 1;", "counts = now_;"),
    ("draw", "wrong Philox counter", "every step draws from the first one's words",
     "      draw.draw_at = step;\n", ""),
    ("ar-draw", "wrong Philox counter", "all tokens of a continuation have the same words",
     "draw.draw = static_cast<std::uint32_t>(step);", "draw.draw = 0;"),
    ("due", "swapped index", "all sequences share the first one's turns",
     "due[at(b * T_ + masked[i])]", "due[at(masked[i])]"),
    ("bad-row", "forgotten reset", "the first row counts as failed before any draw",
     "host_.push_back(static_cast<std::int32_t>(draw_rows));", "host_.push_back(0);"),
    ("failed", "finite flag ignored", "a draw that failed is not noticed",
     "    if (host_.back() < draw_rows_) throw no_distribution(host_.back(), draw_rows_);\n", ""),
    ("arena", "freeze/reset order", "activations of a step follow the last one's",
     "    step_arena_.reset();\n", ""),
    ("freeze", "freeze/reset order", "the arena is frozen before a step has sized it",
     "    captured_.run([this] { launch(); });\n"
     "    if (captured_.recorded()) step_arena_.freeze();\n",
     "    step_arena_.freeze();\n    captured_.run([this] { launch(); });\n"),
)

plant(
    "models/optimizer.cpp", "trainer_gpu_test",
    ("clip", "clip scale ignored", "the trainer never clips",
     ".clip = config_.clip,", ".clip = 0,"),
    ("decay", "weight decay on vectors", "all parameters decay",
     ".n_decay = parameters_.matrix_count()", ".n_decay = parameters_.arena_count()"),
    ("copy", "compute copy not written", "the model that is used never learns",
     ".compute = static_cast<Real*>(parameters_.computes()),",
     ".compute = static_cast<Real*>(nullptr),"),
    ("ema", "EMA not updated", "the EMA stays the first weights",
     ".ema = reinterpret_cast<Param*>(ema_.data()),", ".ema = static_cast<Param*>(nullptr),"),
    ("start-ema", "EMA not updated", "the EMA starts from zeros",
     "  copy_on_device(parameters_.device(), ema_.data(), parameters_.masters(), ema_.size());\n",
     ""),
)

plant(
    "models/trainer.cpp", "trainer_gpu_test",
    ("step", "baked step", "every step draws and corrects as the first",
     "host_state.step = static_cast<std::uint32_t>(state_.steps);", "host_state.step = 0;"),
    ("seed", "baked seed", "masks and dropout do not depend on the seed",
     "host_state.seed = training.seed;", "host_state.seed = 1;"),
    ("lr", "baked learning rate", "the rate stays the first step's",
     "learning_rate(training, state_.steps);", "learning_rate(training, 0);"),
    ("sent-once", "baked step", "the device keeps the first step's state",
     "  std::memcpy(buffer, &state, sizeof state);\n",
     "  static const StepState sent = state;\n  std::memcpy(buffer, &sent, sizeof sent);\n"),
    ("totals", "forgotten reset", "loss and accuracy add up over steps",
     "  fill_zero(transformer_.device(), totals(), offsetof(Totals, skipped));\n", ""),
    ("skipped", "forgotten reset", "each step forgets how many were skipped",
     "offsetof(Totals, skipped)", "sizeof(Totals)"),
    ("zero-grad", "forgotten reset", "gradients add up over steps",
     "  transformer_.parameters().zero_grad();\n", ""),
    ("zero-early", "freeze/reset order", "each micro-batch discards the gradients of the last",
     "    step_arena_.reset();\n", "    step_arena_.reset();\n"
     "    transformer_.parameters().zero_grad();\n"),
    ("first-row", "wrong Philox counter", "micro-batches draw the same masks",
     "host_state.first_row = static_cast<std::uint32_t>(first);", "host_state.first_row = 0;"),
    ("places", "swapped index", "every micro-batch reads the first one's sequences",
     "places[count_of(first + b)]", "places[count_of(first * 0 + b)]"),
    ("arena", "freeze/reset order", "activations of a step follow the last one's",
     "    step_arena_.reset();\n", ""),
    ("freeze", "freeze/reset order", "the arena is frozen before a step has sized it",
     "    micro_step_.run([this] { micro_step(); });\n"
     "    if (micro_step_.recorded()) step_arena_.freeze();\n",
     "    step_arena_.freeze();\n    micro_step_.run([this] { micro_step(); });\n"),
    ("count-skipped", "finite flag ignored", "skipped updates are not counted",
     "optimizer_.update(state(), &totals()->skipped);", "optimizer_.update(state());"),
    ("excluded", "missing mask", "special tokens take part in training's softmax",
     "  copy_to_device(device, device_excluded_.data(), excluded_.data(), excluded_.size());\n",
     ""),
    ("lengths", "swapped index", "the lengths of a batch all go to its first row",
     "tokens[B * L + b] =", "tokens[B * L] ="),
)
