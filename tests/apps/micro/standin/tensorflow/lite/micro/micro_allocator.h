// The part of tflite::MicroAllocator that the stager uses.
#ifndef STANDIN_MICRO_ALLOCATOR_H_
#define STANDIN_MICRO_ALLOCATOR_H_

#include <cstddef>
#include <cstdint>

namespace tflite {

class MicroAllocator {
 public:
  static MicroAllocator* Create(std::uint8_t* tensor_arena, std::size_t arena_size);
};

}  // namespace tflite

#endif  // STANDIN_MICRO_ALLOCATOR_H_
