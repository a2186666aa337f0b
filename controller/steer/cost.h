/* SPDX-License-Identifier: Apache-2.0
 * The objective as one number. First what is lost: the part of all traffic worth serving that sites drop
 * (in proportion, 1 - 1/u), at COST_LOST for the whole. Then headroom: the capacity-weighted mean over sites
 * of a convex cost of utilisation (after Fortz and Thorup, INFOCOM 2000). Both in expectation over the
 * forecast's spread. One percent of traffic lost outweighs a site of a fifth of all capacity going from 75 %
 * to 100 %. */
#ifndef STEER_COST_H
#define STEER_COST_H
#include "controller/steer/round.h"

#define COST_LOST 1000.0 /* of losing everything */
#define Z90	  1.645	 /* half width of a 90 % interval in standard deviations; also one-sided 95 % */

double cost_phi(double util);
/* Part of a site's traffic that is dropped. */
double cost_lost(double util);
/* Expectation of cost_phi at mean u, standard deviation sd (three-point Gauss-Hermite). */
double cost_expect(double u, double sd);
/* sd of utilisation for a load and its sd in the main resource. */
double cost_util_sd(const struct round *r, size_t i, const struct res_vec *load, double dev);
/* One site's part of the objective. */
double cost_site(const struct round *r, size_t i, const struct res_vec *load, double dev);
double cost_all(const struct round *r, const struct res_vec *load, const double *dev);
/* No assignment can cost less: all of the demand spread evenly over all that may receive. */
double cost_bound(const struct round *r);
/* Demand and capacity of the main resource over the sites that may receive. */
double cost_capacity(const struct round *r);
#endif
