// Random numbers on the CPU: vectors of counters make vectors of words (cpu/philox-inl.h), these make numbers.
//
//   uniform   u = the upper bits of a number's words, as a fraction
//   normal    Box and Muller (1958): of two uniform numbers u, v the pair sqrt(-2 log u) * (cos 2 pi v, sin 2 pi v)
//   integers  the upper half of (two words) * (width of the range); permutations by them
//
// A chunk owns a fixed range of numbers; each number knows its counter.
#include "cpu/angles-inl.h"
#include "cpu/parallel.h"
#include "cpu/philox-inl.h"
#include "ops/random/random.h"

namespace fastdl::FASTDL_ISA {

constexpr int64_t kChunk = 16384;  // numbers; a multiple of what is made at a time

// out[0, n) by make(words of a vector of counters, where their kNumbers numbers a counter go).
template <int kNumbers, class T, class Make>
FASTDL_INLINE void draw(const PhiloxKey& key, T* out, int64_t n, Make make) {
  constexpr int kGroup = kLanes<uint64_t> * kNumbers, kTile = kPhiloxGroups * kGroup;
  parallel_for(n, kChunk, [&](int64_t begin, int64_t end) FASTDL_BODY {
    alignas(64) T rest[kTile];
    for (int64_t i = begin; i < end; i += kTile) {
      PhiloxWords words[kPhiloxGroups];
      philox_words(key.offset + static_cast<uint64_t>(i / kNumbers), key.seed, words);
      T* const to = end - i >= kTile ? out + i : rest;
#pragma GCC unroll 4
      for (int g = 0; g < kPhiloxGroups; ++g) make(words[g], to + g * kGroup);
      if (to == rest) __builtin_memcpy(out + i, rest, static_cast<size_t>(end - i) * sizeof(T));
    }
  });
}

// ---- uniform --------------------------------------------------------------------------------------------------------

// Low halves as doubles: put into the fraction of 2^52. Few processors convert long integers.
FASTDL_INLINE Vec<double> doubles_of_low_halves(Word64 w) {
  return (Vec<double>)((w & kLowHalf) | (Word64)broadcast<double>(0x1p52)) - 0x1p52;
}
// 53 bits in [0, 1), exact.
FASTDL_INLINE Vec<double> fraction_of(Word64 high, Word64 low) {
  return doubles_of_low_halves(high) * 0x1p-32 + doubles_of_low_halves((low & kLowHalf) >> 11) * 0x1p-53;
}

template <class T>
struct Uniform {
  Vec<T> low, scale, largest;
  FASTDL_INLINE Vec<T> scaled(const Uniform& u, Vec<T> x) {
    const Vec<T> y = rounded(x * u.scale) + u.low;
    return select<T>(y < u.largest, y, u.largest);
  }
};

FASTDL_INLINE void make_uniform(const PhiloxWords& c, const Uniform<float>& u, float* to) {
  const PhiloxRow row = in_order(c);
  const auto fraction = [](Vec<uint32_t> w) FASTDL_BODY {
    return __builtin_convertvector((Vec<int32_t>)(w >> 8), Vec<float>) * 0x1p-24f;
  };
  store<float>(to, Uniform<float>::scaled(u, fraction(row.front)));
  store<float>(to + kLanes<float>, Uniform<float>::scaled(u, fraction(row.back)));
}
FASTDL_INLINE void make_uniform(const PhiloxWords& c, const Uniform<double>& u, double* to) {
  const Vec<double> a = Uniform<double>::scaled(u, fraction_of(c.w[0], c.w[1]));
  const Vec<double> b = Uniform<double>::scaled(u, fraction_of(c.w[2], c.w[3]));
  store<double>(to, zip_low<double>(a, b));
  store<double>(to + kLanes<double>, zip_high<double>(a, b));
}

void uniform(const UniformArgs& a) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Uniform<T> u{broadcast(static_cast<T>(a.low)), broadcast(static_cast<T>(a.scale)),
                       broadcast(static_cast<T>(a.largest))};
    draw<numbers_of_counter(DTypeOf<T>::value)>(
        a.key, static_cast<T*>(a.out), a.n, [&](const PhiloxWords& c, T* to) FASTDL_BODY { make_uniform(c, u, to); });
  });
}

// ---- normal ---------------------------------------------------------------------------------------------------------

template <class T>
struct Normal {
  Vec<T> mean, std;
};
template <class T>
constexpr T kHalfPi = T(1.57079632679489662);

// The angle is r quarter turns, |r| <= 1/2, further by half a turn where `back` has its sign bit, and mirrored at the
// diagonal where `steep`. So both polynomials serve both numbers.
template <class T>
FASTDL_INLINE void store_pairs(T* to, const Normal<T>& n, Vec<T> minus_two_logs, Vec<T> r, VecBits<T> back,
                               Mask<T> steep) {
  const Vec<T> radius = vsqrt<T>(minus_two_logs) * n.std, angle = r * kHalfPi<T>, square = angle * angle;
  const Vec<T> cosine = (Vec<T>)(bits<T>(cosine_of_rest<T>(square)) ^ (back & Ieee<T>::kSign));
  const Vec<T> sine = sine_of_rest<T>(angle, square);
  const Vec<T> x = select<T>(steep, sine, cosine) * radius + n.mean;
  const Vec<T> y = select<T>(steep, cosine, sine) * radius + n.mean;
  store<T>(to, zip_low<T>(x, y));
  store<T>(to + kLanes<T>, zip_high<T>(x, y));
}

// The words as integers with a sign are f in (-1/2, 1/2), never 0, to the last digit; u is f, or 1 + f below 0. Its
// logarithm near u = 1 is that of 1 + f, not of the rounded sum: so small radii are no multiples of anything.
FASTDL_INLINE Vec<float> log_of_words(Vec<uint32_t> w) {
  const Vec<float> f = (__builtin_convertvector((Vec<int32_t>)w, Vec<float>) + 0.5f) * 0x1p-32f;
  const Vec<float> u = select<float>(f < 0.f, f + 1.f, f);
  const Parts<float> parts = fraction_and_exponent<float>(u);
  const Vec<float> fraction = select<float>(bits<float>(u) >= Ieee<float>::kLeastFraction, f, parts.f);
  return parts.n * Ieee<float>::kLn2High + log_of_fraction(fraction, parts.n * Ieee<float>::kLn2Low);
}

FASTDL_INLINE void make_normal(const PhiloxWords& c, const Normal<float>& n, float* to) {
  const Vec<uint32_t> first = (Vec<uint32_t>)join_words(c.w[0], c.w[2]);
  const Vec<uint32_t> second = (Vec<uint32_t>)join_words(c.w[1], c.w[3]);
  const Vec<float> r = __builtin_convertvector((Vec<int32_t>)(second << 2), Vec<float>) * 0x1p-32f;
  store_pairs<float>(to, n, log_of_words(first) * -2.f, r, second, (Mask<float>)((second & 0x40000000u) != 0u));
}
FASTDL_INLINE void make_normal(const PhiloxWords& c, const Normal<double>& n, double* to) {
  const Vec<double> u = 1.0 - fraction_of(c.w[0], c.w[1]), r = fraction_of(c.w[2] << 2, c.w[3]) - 0.5;
  const Mask<double> steep = (Mask<double>)((c.w[2] & uint64_t{0x40000000u}) != uint64_t{0});
  store_pairs<double>(to, n, log_of_normal<double>(u, Vec<double>{}) * -2.0, r, c.w[2] << 32, steep);
}

void normal(const NormalArgs& a) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Normal<T> n{broadcast(static_cast<T>(a.mean)), broadcast(static_cast<T>(a.std))};
    draw<numbers_of_counter(DTypeOf<T>::value)>(
        a.key, static_cast<T*>(a.out), a.n, [&](const PhiloxWords& c, T* to) FASTDL_BODY { make_normal(c, n, to); });
  });
}

// ---- integers -------------------------------------------------------------------------------------------------------

// The upper words of products of two words with the low half of `factor`.
FASTDL_INLINE Word64 upper_words(Word64 high, Word64 low, Word64 factor) {
  return multiply_low_halves(high, factor) + (multiply_low_halves(low, factor) >> 32);
}
// floor(w * span / 2^64) for w of two words, by the products of their halves.
FASTDL_INLINE Word64 scaled_words(Word64 high, Word64 low, uint64_t span) {
  const uint32_t wide = static_cast<uint32_t>(span >> 32);
  const Word64 middle = upper_words(high, low, broadcast(span));
  if (wide == 0) return middle >> 32;
  const Word64 other = multiply_low_halves(low, wide) + (middle & kLowHalf);
  return multiply_low_halves(high, wide) + (middle >> 32) + (other >> 32);
}

FASTDL_INLINE void store_integers(int64_t* to, Vec<int64_t> a, Vec<int64_t> b) {
  store<int64_t>(to, a);
  store<int64_t>(to + kLanes<int64_t>, b);
}
FASTDL_INLINE void store_integers(int32_t* to, Vec<int64_t> a, Vec<int64_t> b) {
  store<int32_t>(to, even_lanes<int32_t>((Vec<int32_t>)a, (Vec<int32_t>)b));
}

template <class T>
static void draw_integers(const IntegersArgs& a) {
  const Word64 least = broadcast(static_cast<uint64_t>(a.low));
  draw<2>(a.key, static_cast<T*>(a.out), a.n, [&](const PhiloxWords& c, T* to) FASTDL_BODY {
    const Word64 x = scaled_words(c.w[0], c.w[1], a.span) + least, y = scaled_words(c.w[2], c.w[3], a.span) + least;
    store_integers(to, (Vec<int64_t>)zip_low<uint64_t>(x, y), (Vec<int64_t>)zip_high<uint64_t>(x, y));
  });
}

void integers(const IntegersArgs& a) {
  a.dtype == DType::kInt32 ? draw_integers<int32_t>(a) : draw_integers<int64_t>(a);
}

// ---- permutations ---------------------------------------------------------------------------------------------------

// Fisher and Yates: number i changes places with one of [i, n), whose places are drawn for a tile at once. One thread:
// each exchange needs those before it.
void permutation(const PermutationArgs& a) {
  constexpr int kGroup = kLanes<uint64_t> * 2, kTile = kPhiloxGroups * kGroup;
  int64_t* const out = static_cast<int64_t*>(a.out);
  for (int64_t i = 0; i < a.n; ++i) out[i] = i;
  const Word64 twice = (Word64)lane_numbers<double>() * 2;
  alignas(64) int64_t others[kTile];
  for (int64_t begin = 0; begin < a.n; begin += kTile) {
    PhiloxWords words[kPhiloxGroups];
    philox_words(a.key.offset + static_cast<uint64_t>(begin / 2), a.key.seed, words);
#pragma GCC unroll 4
    for (int g = 0; g < kPhiloxGroups; ++g) {
      const PhiloxWords& c = words[g];
      const Word64 i = twice + static_cast<uint64_t>(begin + g * kGroup), left = static_cast<uint64_t>(a.n) - i;
      const Word64 x = (upper_words(c.w[0], c.w[1], left) >> 32) + i;
      const Word64 y = (upper_words(c.w[2], c.w[3], left - 1) >> 32) + i + 1;
      store_integers(others + g * kGroup, (Vec<int64_t>)zip_low<uint64_t>(x, y),
                     (Vec<int64_t>)zip_high<uint64_t>(x, y));
    }
    const int64_t count = a.n - begin < kTile ? a.n - begin : kTile;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t held = out[begin + i];
      out[begin + i] = out[others[i]];
      out[others[i]] = held;
    }
  }
}

}  // namespace fastdl::FASTDL_ISA
