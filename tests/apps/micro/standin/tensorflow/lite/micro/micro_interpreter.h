// tflite::MicroInterpreter as the stager sees it; interpreter.cc hands each call to a Python process.
#ifndef STANDIN_MICRO_INTERPRETER_H_
#define STANDIN_MICRO_INTERPRETER_H_

#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/micro/micro_allocator.h"
#include "tensorflow/lite/micro/micro_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

#define TFLITE_SCHEMA_VERSION (3)

namespace tflite {

class MicroInterpreter {
 public:
  MicroInterpreter(const Model* model, const MicroOpResolver& op_resolver, MicroAllocator* allocator);
  ~MicroInterpreter();

  TfLiteStatus AllocateTensors();
  TfLiteStatus Invoke();
  TfLiteTensor* input(std::size_t index);
  std::size_t inputs_size() const;
  TfLiteTensor* output(std::size_t index);
  std::size_t outputs_size() const;
  std::size_t arena_used_bytes() const;

 private:
  struct Sides;

  const Model* model_;
  const MicroOpResolver& op_resolver_;
  Sides* sides_;
};

}  // namespace tflite

#endif  // STANDIN_MICRO_INTERPRETER_H_
