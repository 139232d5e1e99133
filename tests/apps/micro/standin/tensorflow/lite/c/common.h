// The part of TensorFlow Lite's C types that the stager uses.
#ifndef STANDIN_COMMON_H_
#define STANDIN_COMMON_H_

#include <cstddef>
#include <cstdint>

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
enum TfLiteType { kTfLiteNoType = 0, kTfLiteFloat32 = 1 };

union TfLitePtrUnion {
  float* f;
  void* data;
};

struct TfLiteTensor {
  TfLiteType type;
  TfLitePtrUnion data;
  std::size_t bytes;
};

#endif  // STANDIN_COMMON_H_
