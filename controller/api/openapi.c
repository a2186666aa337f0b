/* SPDX-License-Identifier: Apache-2.0
 * /openapi.json: the description beside this file, put into the program as it is. tests/unit/api_test.c walks
 * the route table against it. */
#include "controller/api/api_int.h"

__asm__(".section .rodata\n"
	".global openapi_start_\n"
	"openapi_start_:\n"
	".incbin \"controller/api/openapi.json\"\n"
	".global openapi_end_\n"
	"openapi_end_:\n"
	".byte 0\n"
	".previous\n");
extern const char openapi_start_[], openapi_end_[];

struct response openapi_get(struct api *a, const struct request *req)
{
	(void)a;
	(void)req;
	return (struct response){
		.status = 200,
		.type = "application/json",
		.static_body = openapi_start_,
		.len = (size_t)(openapi_end_ - openapi_start_),
	};
}
